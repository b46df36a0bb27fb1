"""Exercises of chapter 13: from tiles to tensor cores."""

import numpy as np

from nn import reference
from tutorials.exercise import exercise
from tutorials.kernel import launch


@exercise(
    "13.1",
    "Flops a byte",
    grade="one line",
    hints=["2 N H W O R S C flops; x, w and y are moved once each, 4 bytes a number.", "flops / (4 * (x + w + y))"],
    gives="ratio",
    tolerance=1e-9,
)
def intensity(N, H, W, C, O, R, S):
    """Flops for each byte that must move at the least, for a convolution in float32 with same padding and no bias: x, w and y, once each.

    All are whole numbers -> a number
    """
    return 2 * N * H * W * O * R * S * C / (4 * (N * H * W * C + O * R * S * C + N * H * W * O))


@intensity.case
def _(rng):
    return 16, 56, 56, 128, 128, 3, 3


@intensity.case
def _(rng):
    return 1, 5, 7, 2, 3, 1, 1


@intensity.truth
def _(N, H, W, C, O, R, S):
    x, w, y = np.broadcast_to(np.float32(0), (N, H, W, C)), np.zeros((O, R, S, C), np.float32), np.broadcast_to(np.float32(0), (N, H, W, O))
    return 2 * y.size * w[0].size / (x.nbytes + w.nbytes + y.nbytes)


@intensity.wrong("a number of float32 has four bytes")
def _(*case):
    return 4 * intensity.solution(*case)


@intensity.wrong("y moves, too")
def _(N, H, W, C, O, R, S):
    return 2 * N * H * W * O * R * S * C / (4 * (N * H * W * C + O * R * S * C))


@exercise(
    "13.2",
    "The swizzle",
    grade="one line",
    hints=["Chunk k = column // 4 goes to place k ^ (row % 8).", "row * 32 + (column // 4 ^ row % 8) * 4 + column % 4"],
    gives="place",
)
def swizzled(row, column):
    """Where number (row, column) of a buffer with rows of 32 floats lies, counted in floats: row r keeps its chunk k of four floats at
    place k ^ (r % 8) of that row.

    row, column: arrays of whole numbers of one shape -> places, that shape
    """
    return row * 32 + (column // 4 ^ row % 8) * 4 + column % 4


@swizzled.case
def _(rng):
    row, column = np.divmod(np.arange(32 * 12), 32)
    return row, column


@swizzled.truth
def _(row, column):
    """Chunk by chunk, with the exclusive or in binary digits."""
    places = np.zeros_like(row)
    for k, (r, c) in enumerate(zip(row, column, strict=True)):
        bits = [str(int(p != q)) for p, q in zip(f"{c // 4:03b}", f"{r % 8:03b}", strict=True)]
        places[k] = r * 32 + int("".join(bits), 2) * 4 + c % 4
    return places


@swizzled.wrong("chunks are moved round by addition; it is the exclusive or")
def _(row, column):
    return row * 32 + (column // 4 + row % 8) % 8 * 4 + column % 4


@swizzled.wrong("single floats are exchanged; chunks of four stay together")
def _(row, column):
    return row * 32 + (column ^ row % 8)


@exercise(
    "13.3",
    "Cut in two",
    grade="a few lines",
    hints=["a.view(np.uint32) & np.uint32(0xFFFFE000) clears the last 13 bits.", "small = ten bits of (a - big)"],
    gives=("big", "small"),
    tolerance=0,
)
def cut_in_two(a):
    """big: a with the last 13 bits of its mantissa cut off; small: what is missing, cut off likewise.

    a float32 -> two arrays of float32 of its shape
    """

    def ten_bits(a):
        return (a.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)

    big = ten_bits(a)
    return big, ten_bits(a - big)


@cut_in_two.case
def _(rng):
    return rng.normal(size=50).astype(np.float32)


@cut_in_two.truth
def _(a):
    """By powers of two: 11 digits with the leading one."""

    def cut(value):
        fraction, exponent = np.frexp(value.astype(float))
        return np.ldexp(np.trunc(fraction * 2**11), exponent - 11).astype(np.float32)

    big = cut(a)
    return big, cut(a - big)


@cut_in_two.wrong("12 bits are cut off, not 13: 23 - 10")
def _(a):
    def bits(a):
        return (a.view(np.uint32) & np.uint32(0xFFFFF000)).view(np.float32)

    return bits(a), bits(a - bits(a))


@cut_in_two.wrong("the small part keeps all of its bits; the tensor core would cut them off unseen")
def _(a):
    big, _ = cut_in_two.solution(a)
    return big, a - big


@exercise(
    "13.4",
    "Fragments",
    grade="a few lines",
    hints=["lane = np.arange(32), g = lane // 4, t = lane % 4", "np.stack([A[g, t], A[g + 8, t], A[g, t + 4], A[g + 8, t + 4]], axis=1)"],
    gives=("a", "b"),
)
def fragments(A, B):
    """What each of the 32 threads holds of A (16, 8) and B (8, 8): with g = lane // 4 and t = lane % 4 thread `lane` holds
    A[g, t], A[g + 8, t], A[g, t + 4], A[g + 8, t + 4] and B[t, g], B[t + 4, g].

    -> a (32, 4), b (32, 2)
    """
    lane = np.arange(32)
    g, t = lane // 4, lane % 4
    return np.stack([A[g, t], A[g + 8, t], A[g, t + 4], A[g + 8, t + 4]], axis=1), np.stack([B[t, g], B[t + 4, g]], axis=1)


@fragments.case
def _(rng):
    return rng.normal(size=(16, 8)), rng.normal(size=(8, 8))


@fragments.truth
def _(A, B):
    """Thread by thread."""
    a, b = np.zeros((32, 4)), np.zeros((32, 2))
    for lane in range(32):
        g, t = divmod(lane, 4)
        a[lane] = A[g, t], A[g + 8, t], A[g, t + 4], A[g + 8, t + 4]
        b[lane] = B[t, g], B[t + 4, g]
    return a, b


@fragments.wrong("B is read by rows; its fragments run down the columns")
def _(A, B):
    return fragments.solution(A, B.T)


@fragments.wrong("the second and third number of A are exchanged: first 8 rows down, then 4 columns across")
def _(A, B):
    a, b = fragments.solution(A, B)
    return a[:, [0, 2, 1, 3]], b


@exercise(
    "13.5",
    "A convolution kernel",
    grade="real",
    hints=["Stage 34 numbers: the block's 32, and one on each side; zeros outside of x.", "Threads 0 and 1 stage the two at the rim, too."],
    gives="y",
    tolerance=1e-5,
)
def convolution_kernel():
    """A kernel, as a string: y[i] = w[0] x[i - 1] + w[1] x[i] + w[2] x[i + 1], x being 0 outside, for i < n, with the signature

    extern "C" __global__ void k(const float* x, const float* w, float* y, int n)

    It runs with blocks of 32 threads. Stage what a block reads in shared memory, so that each number is read once from x by the block
    (but for the rim). -> the string
    """
    return """
    extern "C" __global__ void k(const float* x, const float* w, float* y, int n)
    {
        __shared__ float patch[34];
        int t = threadIdx.x, first = blockIdx.x * 32 - 1, i = blockIdx.x * 32 + t;
        for (int p = t; p < 34; p += 32) {
            int at = first + p;
            patch[p] = at >= 0 && at < n ? x[at] : 0;
        }
        __syncthreads();
        if (i < n) y[i] = w[0] * patch[t] + w[1] * patch[t + 1] + w[2] * patch[t + 2];
    }
    """


@convolution_kernel.case
def _(rng):
    return rng.normal(size=75).astype(np.float32), rng.normal(size=3).astype(np.float32)


@convolution_kernel.case
def _(rng):
    return rng.normal(size=1).astype(np.float32), rng.normal(size=3).astype(np.float32)


@convolution_kernel.run
def _(answer, x, w):
    return launch(answer(), -(-len(x) // 32), 32, x, w, np.zeros(len(x), np.float32), len(x))[0][2]


@convolution_kernel.truth
def _(x, w):
    return reference.conv2d(x[None, None, :, None], w[None, None, :, None], padding=((0, 0), (1, 1)))[0, 0, :, 0].astype(np.float32)


@convolution_kernel.wrong("the filter is turned round")
def _():
    return convolution_kernel.solution().replace("w[0] *", "w[9] *").replace("w[2] *", "w[0] *").replace("w[9] *", "w[2] *")


@convolution_kernel.wrong("the rim of each block is taken as zero; the neighbours' numbers are needed there")
def _():
    return convolution_kernel.solution().replace("at >= 0 && at < n", "p > 0 && p < 33 && at < n")
