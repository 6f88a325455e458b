"""Products of small matrices of all replicas, in C, with the widest vectors of a processor that is not Intel's.

torch multiplies by MKL, which takes AVX-512 on Intel's processors alone, and reorders matrices that meet few samples
for about as long as it multiplies them. Here numbers of the first matrix are read where they are, and rows of the
second too, unless it is turned; then so is the product, `(a b)' = b' a'`, whose second matrix is a few samples. Sums of
eight rows and two vectors stay in registers meanwhile (docs/adr/0024).
"""

from __future__ import annotations

import ctypes
from functools import cache, lru_cache
from typing import Any

import torch

from stepsize.engines import compiler

LEAST, MOST = 1 << 14, 1 << 23
"""Multiplications of a product of a replica: with fewer, what is around them counts; more were not tried."""

DEEP = 16
"""Numbers that are added up for one of a product, at least: with fewer, writing it is all that counts."""

TALL, BROAD = 64, 16
"""Rows and columns of a product that is turned, at least: its second matrix is copied."""

SOURCE = """
#include <stdlib.h>

#ifndef __AVX512F__
#error "with narrower vectors MKL is as fast"
#endif
enum { BYTES = 64, LANES = BYTES / sizeof(T), ROWS = 8 };
typedef T V __attribute__((vector_size(BYTES), aligned(sizeof(T)), may_alias));

/* How far apart matrices, rows and columns are in memory. */
typedef struct { long matrix, row, column; } Steps;

/* How many products of (m, k) and (k, n). */
typedef struct { long count, m, k, n; Steps a, b, bias, out; } Form;

/* Multiply ROWS rows of a matrix, or fewer, with `vectors` of the other, which begin at `q` and are `step` apart. */
static inline __attribute__((always_inline)) void multiply(
    int vectors, const Form *f, const T *a, const T *q, long step, const T *bias, T *out, long rows, long columns
) {
    const T *row[ROWS];
    V sum[ROWS][2] = {0};
    for (int r = 0; r < ROWS; r++) row[r] = a + (r < rows ? r : rows - 1) * f->a.row;
    for (long k = 0; k < f->k; k++, q += step)
        #pragma GCC unroll 8
        for (int r = 0; r < ROWS; r++)
            #pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) sum[r][v] += row[r][k * f->a.column] * ((const V *)q)[v];
    if (f->out.column == 1 && !bias && rows == ROWS && columns == vectors * LANES) {
        #pragma GCC unroll 8
        for (int r = 0; r < ROWS; r++)
            #pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) ((V *)(out + r * f->out.row))[v] = sum[r][v];
        return;
    }
    for (long c = 0; c < columns; c++)
        for (long r = 0; r < rows; r++)
            out[r * f->out.row + c * f->out.column] =
                sum[r][c / LANES][c % LANES] + (bias ? bias[r * f->bias.row + c * f->bias.column] : 0);
}

/* Return 0 where it is done, 1 where there is no memory, 2 where MKL is faster. bias: NULL where there is none. */
int step(const Form *f, const T *a, const T *b, const T *bias, T *out) {
    if (__builtin_cpu_is("intel")) return 2;
    const long width = f->n < 2 * LANES ? LANES : 2 * LANES;
    T *copy = aligned_alloc(BYTES, sizeof(T) * width * f->k);
    for (long g = 0; copy && g < f->count; g++)
        for (long j = 0; j < f->n; j += width) {
            /* The last columns are taken once more where they fill no vector. */
            const long first = j + width <= f->n || f->n < width ? j : f->n - width;
            const long columns = f->n < width ? f->n : width;
            const T *q = b + g * f->b.matrix + first * f->b.column;
            const int there = f->b.column == 1 && columns == width;
            for (long c = 0; !there && c < width; c++)
                for (long k = 0; k < f->k; k++)
                    copy[k * width + c] = c < columns ? q[k * f->b.row + c * f->b.column] : 0;
            for (long i = 0; i < f->m; i += ROWS) {
                const long rows = f->m - i < ROWS ? f->m - i : ROWS, step = there ? f->b.row : width;
                const T *p = a + g * f->a.matrix + i * f->a.row;
                const T *added = bias ? bias + g * f->bias.matrix + i * f->bias.row + first * f->bias.column : NULL;
                T *to = out + g * f->out.matrix + i * f->out.row + first * f->out.column;
                if (width == LANES) multiply(1, f, p, there ? q : copy, step, added, to, rows, columns);
                else multiply(2, f, p, there ? q : copy, step, added, to, rows, columns);
            }
        }
    const int failed = !copy;
    free(copy);
    return failed;
}
"""


def multiplications(a: torch.Size, b: torch.Size, dtype: torch.dtype, *, turned: bool) -> int:
    """Return how many a product of a replica has; 0 where `product` is not for it, by shapes alone.

    turned: whether the rows of the second matrix are far apart in memory, and its columns are not.
    """
    _, m, k = a
    n = b[2]
    fits = LEAST <= m * k * n <= MOST and k >= DEEP and dtype in compiler.TYPES
    return m * k * n if fits and (not turned or (n >= TALL and m >= BROAD)) else 0


def product(
    a: torch.Tensor, b: torch.Tensor, bias: torch.Tensor | None = None, *, out: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the product of each pair of matrices, and a bias; out: where it is written."""
    step = None if torch.get_num_threads() > 1 else compiled(a.dtype)  # torch shares its own out to all threads
    if step is None:
        if bias is None:
            return torch.bmm(a, b) if out is None else torch.bmm(a, b, out=out)
        return torch.baddbmm(bias, a, b) if out is None else torch.baddbmm(bias, a, b, out=out)
    out = a.new_empty((len(a), a.shape[1], b.shape[2])) if out is None else out
    bias = bias if bias is None else bias.expand_as(out)  # which has a step of 0 along what it lacks
    arrays = [a, b, out] if bias is None else [a, b, out, bias]
    turned, form = _form(tuple((each.shape, each.stride()) for each in arrays))
    first, second = (b, a) if turned else (a, b)
    added = None if bias is None else bias.data_ptr()
    if step(form, first.data_ptr(), second.data_ptr(), added, out.data_ptr()):
        raise MemoryError("there is no memory for a product of matrices.")
    return out


@lru_cache(maxsize=1 << 10)
def _form(arrays: tuple[Any, ...]) -> tuple[bool, Any]:
    """Return whether a product is turned, and its form in C; arrays: shapes and strides of a, b, out, and a bias."""
    (shape, a), (shape_b, b), (_, out), *bias = arrays
    sizes = [*shape, shape_b[2]]
    added = bias[0][1] if bias else (0, 0, 0)
    steps = [a, b, added, out]
    turned = b[2] != 1
    if turned:
        sizes = [sizes[0], sizes[3], sizes[2], sizes[1]]
        steps = [[matrix, column, row] for matrix, row, column in (b, a, added, out)]
    values = [*sizes, *(value for three in steps for value in three)]
    return turned, (ctypes.c_long * len(values))(*values)


@cache
def compiled(dtype: torch.dtype) -> Any:
    """Return the compiled function for numbers of a dtype; None where there is no compiler, or MKL is as fast."""
    if not torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]  # torch has no types for it
        return None
    step = compiler.compiled(f"typedef {compiler.TYPES[dtype]} T;\n{SOURCE}", "-ffp-contract=fast")
    if step is None:
        return None
    step.argtypes, step.restype = [ctypes.c_void_p] * 5, ctypes.c_int
    nothing = (ctypes.c_long * 16)(0, 1, 1, 1)
    return None if step(nothing, None, None, None, None) else step
