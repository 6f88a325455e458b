"""JAX's switch to float64 for as long as a `with` lasts, which was experimental before jax 0.8."""

import jax
import jax.experimental

enable_x64 = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64
