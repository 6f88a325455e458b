"""Schedules drawn at random: every kind of the catalogue, and all the ways to combine them."""

from dataclasses import replace

from hypothesis import strategies as st

from stepsize.schedules import (
    Chain,
    Clipped,
    Constant,
    Cosine,
    Exponential,
    ExponentialToZero,
    ExpRange,
    Geometric,
    Interpolated,
    KCosine,
    Linear,
    MirrorCosine,
    MultiStep,
    Polynomial,
    PowerLaw,
    Product,
    Repeat,
    Reversed,
    Rex,
    Scaled,
    Sqrt,
    Square,
    Staircase,
    Stepped,
    Stretched,
    Sum,
    Table,
    Tanh,
    Triangular,
    Triangular2,
    Until,
)

values = st.floats(0, 10, allow_subnormal=False)
above = st.floats(1e-6, 10)
shares = st.integers(1, 30).map(lambda n: f"{n}%") | st.integers(1, 299).map(lambda n: f"{n / 10}%")
lengths = st.integers(1, 40)
periods = lengths | shares
factors = st.floats(0, 4, allow_subnormal=False)
runs = st.integers(240, 500)


@st.composite
def points(draw):
    """Moments from 0 that do not fall, some of them equal, and a value for each."""
    later = draw(st.lists(st.floats(0, 300, allow_subnormal=False) | st.integers(0, 30), min_size=1, max_size=4))
    at = (0.0, *sorted(map(float, later)))
    heights = draw(st.lists(values, min_size=len(at), max_size=len(at)))
    return Interpolated(at, tuple(heights), draw(st.sampled_from(["linear", "cosine"])))


MAKERS = {
    Constant: st.builds(Constant, values),
    Linear: st.builds(Linear, values, values),
    Polynomial: st.builds(Polynomial, values, values, power=st.floats(0.1, 6)),
    Exponential: st.builds(Exponential, above, above),
    Cosine: st.builds(Cosine, values, values),
    Sqrt: st.builds(Sqrt, values, values),
    Square: st.builds(Square, values, values),
    MirrorCosine: st.builds(MirrorCosine, values, values),
    ExponentialToZero: st.builds(ExponentialToZero, values, values, left=st.floats(1e-6, 0.99)),
    Rex: st.builds(Rex, values, values),
    Tanh: st.builds(Tanh, values, values, lower=st.floats(-50, 0), upper=st.floats(0.1, 50)),
    KCosine: st.builds(KCosine, values, values, k=st.floats(0.1, 6)),
    Staircase: st.builds(Staircase, values, st.floats(0.01, 1.2), periods),
    MultiStep: st.builds(MultiStep, values, st.floats(0.01, 1.5), st.lists(periods, max_size=4).map(tuple)),
    Triangular: st.builds(Triangular, values, values, periods, fall=st.none() | periods),
    Triangular2: st.builds(Triangular2, values, values, periods, fall=st.none() | periods),
    ExpRange: st.builds(ExpRange, values, values, periods, fall=st.none() | periods, gamma=st.floats(0.5, 1)),
    Geometric: st.builds(Geometric, values, st.floats(0.5, 1.02), periods),
    PowerLaw: st.builds(PowerLaw, values, st.floats(0.1, 3), st.floats(0.1, 1000)),
    Interpolated: points(),
    Table: st.builds(Table, st.lists(values, min_size=1, max_size=600).map(tuple)),
}
"""How to draw each kind that is not made of others, with the length "rest"."""

atoms = st.one_of(*MAKERS.values())


def of_length(schedule, steps):
    """The same schedule with another length."""
    return replace(schedule, steps=steps)


pieces = st.builds(of_length, atoms, lengths | shares)
"""Atoms with a length: three of them always fit into a run."""

heads = st.lists(pieces, max_size=2)
chains = st.builds(lambda head, last: Chain((*head, last)), heads, atoms)
terms = atoms | chains
cycles = pieces | (lengths.map(st.just) | shares.map(st.just)).flatmap(
    lambda length: st.lists(st.builds(of_length, atoms, length), min_size=1, max_size=2).map(lambda p: Chain(tuple(p)))
)
"""What may stand in a Repeat, with a length of its own: all in steps, or all in shares."""


def combined(terms):
    """How to draw each kind that is made of others, which are `terms` of the length "rest"."""
    high = st.none() | st.floats(5, 10)
    return {
        Chain: st.builds(lambda head, last: Chain((*head, last)), heads, terms),
        Scaled: st.builds(Scaled, terms, factors),
        Sum: st.builds(Sum, terms, terms),
        Product: st.builds(Product, terms, terms),
        Clipped: st.builds(Clipped, terms, low=st.floats(0, 5, allow_subnormal=False), high=high),
        Reversed: st.builds(Reversed, terms),
        Stepped: st.builds(Stepped, terms, every=periods),
        Until: st.builds(Until, terms | cycles, st.just("rest")),
        Stretched: st.builds(Stretched, terms | cycles, st.just("rest")),
        Repeat: st.builds(
            Repeat, terms | cycles, stretch=st.integers(1, 10), scale=st.floats(0.1, 1), steps=st.just("rest")
        ),
    }


COMBINED = combined(terms)
nested = st.one_of(*combined(st.one_of(*COMBINED.values())).values())

parts = st.one_of(
    st.builds(Until, terms, lengths | shares),
    st.builds(Stretched, terms | cycles, lengths | shares),
    st.builds(Repeat, cycles, stretch=st.integers(1, 3), steps=lengths | shares),
    st.builds(Clipped, cycles, low=values),
    st.builds(Sum, cycles, atoms),
    st.builds(Scaled, cycles, factors),
    st.builds(Reversed, cycles),
    st.builds(Stepped, cycles, every=periods),
)
"""Operators as parts of a chain, with a length of their own."""

schedules_of_any_kind = st.one_of(
    atoms,
    *COMBINED.values(),
    nested,
    st.builds(lambda part, last: part >> last, parts, terms),
    st.builds(lambda chain, factor: factor * chain, chains, factors),
)
