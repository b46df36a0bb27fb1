"""Exercises of chapter 12: a GPU from scratch."""

import numpy as np

from tutorials.exercise import exercise
from tutorials.kernel import launch


@exercise("12.1", "How many blocks?", grade="one line", hints=["Round up.", "(n + threads - 1) // threads"], gives="blocks")
def blocks(n, threads):
    """How many blocks of `threads` threads are needed for n numbers, one a thread?

    n >= 0 and threads >= 1 are whole numbers
    """
    return (n + threads - 1) // threads


for _case in ((1000, 256), (1024, 256), (1, 256), (0, 32)):
    blocks.case(lambda rng, case=_case: case)


@blocks.truth
def _(n, threads):
    return len(range(0, n, threads))


@blocks.wrong("the last numbers have no thread: round up")
def _(n, threads):
    return n // threads


@blocks.wrong("where n divides by the block, this starts one block too many")
def _(n, threads):
    return n // threads + 1


@exercise(
    "12.2",
    "Count the sectors",
    grade="one line",
    hints=["Number k lies in sector k // 8.", "len(np.unique(index // 8))"],
    gives="count",
)
def sectors(index):
    """How many sectors of 32 bytes does a warp move when thread t reads x[index[t]]? x holds float32 and begins where a sector begins.

    index (32,) whole numbers -> a whole number
    """
    return len(np.unique(index // 8))


@sectors.case
def _(rng):
    return np.arange(32) + 1


@sectors.case
def _(rng):
    return rng.integers(0, 400, 32)


@sectors.case
def _(rng):
    return np.arange(32) % 4 * 16


@sectors.truth
def _(index):
    """The emulator's count."""
    text = """
    extern "C" __global__ void k(const float* x, const int* index, float* y)
    {
        int at = threadIdx.x;
        y[at] = x[index[at]];
    }
    """
    arrays = np.zeros(512, np.float32), index.astype(np.int32), np.zeros(32, np.float32)
    return launch(text, 1, 32, *arrays, profile=True)[1].total("read global").moved - 4  # 4 for the indices themselves


@sectors.wrong("a sector of 32 bytes holds 8 floats, not 32")
def _(index):
    return len(np.unique(index // 32))


@sectors.wrong("threads that read from one sector share it")
def _(index):
    return len(index)


@sectors.wrong("sectors that lie between and are not touched are not moved")
def _(index):
    return int(index.max() // 8 - index.min() // 8 + 1)


def _kernel(answer, grid, block, *arguments, out):
    """What the answer's kernel leaves in its array number `out`."""
    return launch(answer(), grid, block, *arguments)[0][out]


@exercise(
    "12.3",
    "A first kernel",
    grade="a few lines",
    hints=["int i = blockIdx.x * blockDim.x + threadIdx.x;", "if (i >= n) return; y[i] = 3 * x[i] + y[i];"],
    gives="y",
)
def three_x_plus_y():
    """A kernel, as a string: y[i] = 3 x[i] + y[i] for i < n, with the signature

    extern "C" __global__ void k(const float* x, float* y, int n)

    It runs with blocks of 32 threads, and more threads than numbers. -> the string
    """
    return """
    extern "C" __global__ void k(const float* x, float* y, int n)
    {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i >= n) return;
        y[i] = 3 * x[i] + y[i];
    }
    """


@three_x_plus_y.case
def _(rng):
    return rng.normal(size=75).astype(np.float32), rng.normal(size=75).astype(np.float32)


@three_x_plus_y.run
def _(answer, x, y):
    return _kernel(answer, 3, 32, x, y, len(x), out=1)


@three_x_plus_y.truth
def _(x, y):
    return 3 * x + y


@three_x_plus_y.wrong("every block works on the same first numbers: blockIdx is left out")
def _():
    return (
        three_x_plus_y.solution()
        .replace("blockIdx.x * blockDim.x + threadIdx.x", "threadIdx.x")
        .replace("y[i] = 3 * x[i] + y[i];", "if (blockIdx.x == 0) y[i] = 3 * x[i] + y[i];")
    )


@three_x_plus_y.wrong("the old y is overwritten, not added")
def _():
    return three_x_plus_y.solution().replace("3 * x[i] + y[i]", "3 * x[i]")


@three_x_plus_y.wrong("the guard stops one thread too early: the last number is left out")
def _():
    return three_x_plus_y.solution().replace("i >= n", "i >= n - 1")


@exercise(
    "12.4",
    "The largest number",
    grade="real",
    hints=["As the sum in the text, with fmaxf(a, b) instead of a + b, beginning with x[0].", "Meet after writing, and in each round."],
    gives="largest",
)
def largest_kernel():
    """A kernel, as a string, run with one block of 64 threads: *out = the largest of x[0] ... x[n - 1], for any n >= 1, with the signature

    extern "C" __global__ void k(const float* x, float* out, int n)

    -> the string. fmaxf(a, b) is the larger of two floats; the emulator checks for races.
    """
    return """
    extern "C" __global__ void k(const float* x, float* out, int n)
    {
        __shared__ float best[64];
        int t = threadIdx.x;
        float mine = x[0];
        for (int i = t; i < n; i += 64) mine = fmaxf(mine, x[i]);
        best[t] = mine;
        __syncthreads();
        for (int half = 32; half > 0; half /= 2) {
            if (t < half) best[t] = fmaxf(best[t], best[t + half]);
            __syncthreads();
        }
        if (t == 0) *out = best[0];
    }
    """


@largest_kernel.case
def _(rng):
    return np.append(rng.normal(size=199) - 20, 3).astype(np.float32)


@largest_kernel.case
def _(rng):
    return (rng.normal(size=5) - 20).astype(np.float32)


@largest_kernel.case
def _(rng):
    return np.append(np.append(rng.normal(size=40) - 20, 5), rng.normal(size=20) - 20).astype(np.float32)


@largest_kernel.run
def _(answer, x):
    return _kernel(answer, 1, 64, x, np.zeros(1, np.float32), len(x), out=1)


@largest_kernel.truth
def _(x):
    return np.sort(x)[-1:]


@largest_kernel.wrong("it begins with 0, and no number was above it")
def _():
    return largest_kernel.solution().replace("float mine = x[0]", "float mine = 0")


@largest_kernel.wrong("each thread looks at one number only; there may be more numbers than threads")
def _():
    return largest_kernel.solution().replace("for (int i = t; i < n; i += 64) mine = fmaxf(mine, x[i]);", "if (t < n) mine = x[t];")


@largest_kernel.wrong("the rounds stop too early: only half of the threads are heard")
def _():
    return largest_kernel.solution().replace("int half = 32", "int half = 16")


@exercise(
    "12.5",
    "A matrix times a vector",
    grade="real",
    hints=["Block b is row b; thread t adds up columns t, t + 32, ...", "Then the 32 partial sums meet in shared memory."],
    gives="y",
    tolerance=1e-5,
)
def matrix_vector():
    """A kernel, as a string: y = A v for A (M, K), row-major, v (K,), y (M,). It runs with M blocks of 32 threads, a block for each row,
    for any K, with the signature

    extern "C" __global__ void k(const float* A, const float* v, float* y, int K)

    -> the string. Neighbouring threads should read neighbouring numbers.
    """
    return """
    extern "C" __global__ void k(const float* A, const float* v, float* y, int K)
    {
        __shared__ float sums[32];
        int t = threadIdx.x;
        float sum = 0;
        for (int j = t; j < K; j += 32) sum += A[blockIdx.x * K + j] * v[j];
        sums[t] = sum;
        __syncthreads();
        for (int half = 16; half > 0; half /= 2) {
            if (t < half) sums[t] += sums[t + half];
            __syncthreads();
        }
        if (t == 0) y[blockIdx.x] = sums[0];
    }
    """


@matrix_vector.case
def _(rng):
    return rng.normal(size=(5, 70)).astype(np.float32), rng.normal(size=70).astype(np.float32)


@matrix_vector.case
def _(rng):
    return rng.normal(size=(3, 7)).astype(np.float32), rng.normal(size=7).astype(np.float32)


@matrix_vector.run
def _(answer, A, v):
    return _kernel(answer, len(A), 32, A, v, np.zeros(len(A), np.float32), len(v), out=2)


@matrix_vector.truth
def _(A, v):
    return np.einsum("mk,k->m", A.astype(float), v).astype(np.float32)


@matrix_vector.wrong("every block takes the first row")
def _():
    return matrix_vector.solution().replace("A[blockIdx.x * K + j]", "A[j]")


@matrix_vector.wrong("only the first 32 columns are added")
def _():
    return matrix_vector.solution().replace("for (int j = t; j < K; j += 32)", "for (int j = t; j < min(K, 32); j += 32)")


@matrix_vector.wrong("thread 0 gives its own sum; the others' are never added")
def _():
    return matrix_vector.solution().replace("y[blockIdx.x] = sums[0]", "y[blockIdx.x] = sum")
