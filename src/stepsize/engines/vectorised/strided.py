"""The gradient of what a strided convolution takes, in C: torch's own is five times as slow as the convolution.

Pixels of the input that are `stride` apart have met the same weights. So four of them in each of two images are summed
up together, over all channels that came out, for as many channels that went in as a vector of the processor holds; the
sums stay in registers meanwhile (docs/adr/0024).
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import torch

from stepsize.engines import compiler

aten = torch.ops.aten


IMAGES = 4
"""Dimensions of a batch of images, and of the weights of a convolution of images."""

CHANNELS = 16
"""Channels that went in, from which on a vector of them is full, or half full."""

LEAST = 1 << 14
"""Multiplications of a group of channels in a step, with fewer of which what is around them counts."""

SOURCE = """
#include <stdlib.h>

#ifdef __AVX512F__
enum { BYTES = 64 };
#else
enum { BYTES = 32 };
#endif
enum { LANES = BYTES / sizeof(T), PAIR = 2, ROW = 4 };
typedef T V __attribute__((vector_size(BYTES)));

/* Images and groups; channels out and in; height and width of a kernel, of what came out, of what went in; stride and
   padding along both. */
typedef struct { long n, groups, out, in, kh, kw, oh, ow, h, w, sy, sx, py, px; } Form;

/* Where the slope lies in the zeros around it, so that no sum asks whether it is beside an image; and how far apart
   rows, channels and images are then. */
typedef struct { long above, left, width, plane, image; } Frame;

static long most(long a, long b) { return a > b ? a : b; }

static Frame frame_of(const Form *f) {
    Frame z;
    z.above = most(0, (f->kh - 1 - f->py + f->sy - 1) / f->sy);
    z.left = most(0, (f->kw - 1 - f->px + f->sx - 1) / f->sx);
    z.width = z.left + most((f->w - 1 + f->px) / f->sx + 1, f->ow) + ROW;
    z.plane = (z.above + most((f->h - 1 + f->py) / f->sy + 1, f->oh)) * z.width;
    z.image = f->out * z.plane;
    return z;
}

/* Turn the weights (out, in, taps) of a group to (block of channels in, tap, out, channel of the block). */
static void turn(const Form *f, const T *weight, V *turned) {
    const long taps = f->kh * f->kw, padded = (f->in + LANES - 1) / LANES * LANES;
    for (long o = 0; o < f->out; o++)
        for (long c = 0; c < padded; c++)
            for (long k = 0; k < taps; k++)
                turned[(c / LANES * taps + k) * f->out + o][c % LANES] =
                    c < f->in ? weight[(o * f->in + c) * taps + k] : 0;
}

/* Copy the slope of an image into the zeros around it. */
static void frame(const Form *f, const Frame *z, const T *slope, T *framed) {
    for (long o = 0; o < f->out; o++)
        for (long y = 0; y < f->oh; y++)
            for (long x = 0; x < f->ow; x++)
                framed[o * z->plane + (y + z->above) * z->width + x + z->left] = slope[(o * f->oh + y) * f->ow + x];
}

/* Add up a block of channels in of a pair of images: (image, pixel, channel of the block). */
static void add_up(const Form *f, const Frame *z, const V *turned, const T *framed, V *sums) {
    for (long y = 0; y < f->h; y++)
    for (long phase = 0; phase < f->sx; phase++)
    for (long i = 0; phase + f->sx * i < f->w; i += ROW) {
        V sum[PAIR][ROW] = {0};
        for (long ky = (y + f->py) % f->sy; ky < f->kh; ky += f->sy)
        for (long kx = (phase + f->px) % f->sx; kx < f->kw; kx += f->sx) {
            const long row = (y + f->py - ky) / f->sy + z->above, column = (phase + f->px - kx) / f->sx + z->left + i;
            const V *q = turned + (ky * f->kw + kx) * f->out;
            const T *g = framed + row * z->width + column;
            for (long o = 0; o < f->out; o++, g += z->plane)
                #pragma GCC unroll 8
                for (int m = 0; m < PAIR; m++)
                    #pragma GCC unroll 8
                    for (int r = 0; r < ROW; r++) sum[m][r] += q[o] * g[m * z->image + r];
        }
        for (int m = 0; m < PAIR; m++)
            for (int r = 0; r < ROW && phase + f->sx * (i + r) < f->w; r++)
                sums[(m * f->h + y) * f->w + phase + f->sx * (i + r)] = sum[m][r];
    }
}

/* Arrays are as torch has them, channels before pixels and without gaps. Return 1 where there is no memory, else 0. */
int step(const Form *f, const T *slope, const T *weight, T *made) {
    const Frame z = frame_of(f);
    const long taps = f->kh * f->kw, blocks = (f->in + LANES - 1) / LANES, pixels = f->h * f->w;
    V *turned = aligned_alloc(BYTES, sizeof(V) * (blocks * taps * f->out + PAIR * pixels));
    V *sums = turned + blocks * taps * f->out;
    T *framed = calloc(PAIR * z.image, sizeof(T));
    for (long group = 0; turned && framed && group < f->groups; group++) {
        turn(f, weight + group * f->out * f->in * taps, turned);
        for (long first = 0; first < f->n; first += PAIR) {
            const long last = first + PAIR < f->n ? first + PAIR : f->n;
            for (long m = first; m < last; m++)
                frame(f, &z, slope + (m * f->groups + group) * f->out * f->oh * f->ow, framed + (m - first) * z.image);
            for (long block = 0; block < blocks; block++) {
                add_up(f, &z, turned + block * taps * f->out, framed, sums);
                for (long m = first; m < last; m++)
                    for (long c = block * LANES; c < (block + 1) * LANES && c < f->in; c++)
                        for (long k = 0; k < pixels; k++)
                            made[((m * f->groups + group) * f->in + c) * pixels + k] =
                                sums[(m - first) * pixels + k][c % LANES];
            }
        }
    }
    const int failed = !turned || !framed;
    free(turned);
    free(framed);
    return failed;
}
"""


class Strides(NamedTuple):
    """How a convolution of images goes over them: its stride and padding, along both sides, and its groups."""

    stride: Sequence[int]
    padding: Sequence[int]
    groups: int


def multiplications(slope: torch.Size, weight: torch.Size, how: Strides, dtype: torch.dtype) -> int:
    """Return how many `slope_before` has for a group of channels; 0 where it is not for them, by shapes alone.

    slope: the shape of what came out; weight: that of the weights.
    """
    if len(weight) != IMAGES or weight[1] < CHANNELS or max(how.stride) == 1 or dtype not in compiler.TYPES:
        return 0
    count = slope[0] * slope[2:].numel() * weight.numel() // how.groups
    return count if count >= LEAST else 0


def slope_before(slope: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, how: Strides) -> torch.Tensor:
    """Return the gradient of what a convolution took, `x`, from that of what came out."""
    stride, padding, groups = how
    step = None if torch.get_num_threads() > 1 else compiled(x.dtype)  # torch shares its own out to all threads
    if step is None:
        options = stride, padding, (1, 1), False, (0, 0), groups, (True, False, False)
        found: torch.Tensor = aten.convolution_backward(slope, x, weight, None, *options)[0]
        return found
    form = len(x), groups, len(weight) // groups, *weight.shape[1:], *slope.shape[2:], *x.shape[2:], *stride, *padding
    made = torch.empty_like(x, memory_format=torch.contiguous_format)
    arrays = slope.contiguous(), weight.contiguous(), made
    if step((ctypes.c_long * len(form))(*form), *(each.data_ptr() for each in arrays)):
        raise MemoryError("there is no memory for the gradient of a convolution.")
    return made if x.is_contiguous() else made.contiguous(memory_format=torch.channels_last)


@cache
def compiled(dtype: torch.dtype) -> Any:
    """Return the compiled function for numbers of a dtype; None where there is no compiler, or it fails."""
    step = compiler.compiled(f"typedef {compiler.TYPES[dtype]} T;\n{SOURCE}", "-ffp-contract=fast")
    if step is not None:
        step.argtypes, step.restype = [ctypes.c_void_p] * 4, ctypes.c_int
    return step
