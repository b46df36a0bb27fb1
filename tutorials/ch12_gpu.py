# %% [markdown]
# # 12 A GPU from scratch
#
# | you need | reading | on 2 cores | on a GPU | seed |
# | --- | --- | --- | --- | --- |
# | chapters 1, 2; g++ on Linux | 35 min | 10 s | not measured | 0 |
#
# By the end you can write CUDA kernels, say how their threads share work and memory, find races and wild accesses
# before a GPU does, and count what a kernel moves. You need no GPU: the library's emulator runs the very same text on
# your processor.
#
# ## Many slow workers
#
# A processor has a few fast cores. A graphics card has thousands of slow ones, and they all run the same program,
# each on its own number. To add two arrays of a million numbers, a processor loops a million times; a GPU starts a
# million *threads*, and each adds one pair. The program that each thread runs is called a *kernel*. It is written in
# CUDA C, which is C with a few words more.
#
# Threads come in *blocks*, say of 256, and the blocks form a *grid*. A thread learns who it is from `threadIdx.x`,
# its place in the block, and `blockIdx.x`, the block's place in the grid; `blockDim.x` is the size of a block. So
#
# $$
# k = blockIdx \cdot blockDim + threadIdx
# $$
#
# is a number of its own for each thread. Here is a first kernel, and a few lines of Python that run it. `cupy` is the
# package by which Python speaks to a GPU; the emulator has a stand-in with the same names.

# %%
import matplotlib.pyplot as plt
import numpy as np

from nn import Dense, ReLU, Sequential, gradcheck
from nn.emulator import KernelError, cupy, mode, profile
from nn.gpu.gemm import gemm
from nn.gpu.rungs import prefer
from tutorials import exercise, show_kernel, show_source
from tutorials.kernel import launch

show_source(launch)

ADD = """
extern "C" __global__ void k(const float* x, const float* y, float* z, int n)
{
    int k = blockIdx.x * blockDim.x + threadIdx.x;
    z[k] = x[k] + y[k];
}
"""
x, y = np.arange(8, dtype=np.float32), np.full(8, 10, np.float32)
print("two blocks of four threads:", launch(ADD, 2, 4, x, y, np.zeros(8, np.float32), 8)[0][2].tolist())

# %% [markdown]
# `__global__` marks a kernel, `extern "C"` keeps its name as it is written, and the grid and the block are given at
# the launch. The picture shows the eight threads and their numbers.

# %%
fig, ax = plt.subplots(figsize=(7, 1.9), layout="constrained")
for k in range(8):
    block, thread = divmod(k, 4)
    ax.add_patch(plt.Rectangle((k + 0.5 * block, 0), 0.9, 0.9, facecolor=("#cfe3f5", "#c6e0b4")[block], edgecolor="#555555"))
    ax.text(k + 0.5 * block + 0.45, 0.45, f"k = {k}\nthread {thread}", ha="center", va="center", fontsize=8)
for block in range(2):
    ax.text(4.5 * block + 1.95, 1.1, f"block {block}", ha="center")
ax.set(xlim=(-0.2, 8.8), ylim=(-0.1, 1.5))
ax.axis("off")
plt.show()

# %% [markdown]
# ## Ragged ends
#
# Arrays rarely divide by the size of a block. For ten numbers we need three blocks of four, twelve threads, two too
# many. **What breaks if nobody stops them?** They write behind the end of the array. A GPU often says nothing and
# spoils another array. The emulator looks at every access:

# %%
x, y = np.arange(10, dtype=np.float32), np.full(10, 10, np.float32)
try:
    launch(ADD, 3, 4, x, y, np.zeros(10, np.float32), 10)
except KernelError as error:
    print(str(error).splitlines()[1].strip())

# %% [markdown]
# So every kernel begins with a guard: a thread without work leaves.

# %%
GUARDED = ADD.replace("    z[k]", "    if (k >= n) return;\n    z[k]")
print(launch(GUARDED, 3, 4, x, y, np.zeros(10, np.float32), 10)[0][2].tolist())
show_kernel("activation.cu", "relu_forward")
show_kernel("activation.cu", "relu_backward")

# %% [markdown]
# These two are the library's ReLU, forwards and backwards. `EACH_ELEMENT` is the first line and the guard.
# `__restrict__` promises that the arrays do not overlap. A layer does not notice where its arrays lie: `ops` of
# chapter 2 sees a GPU's array and calls the kernels. And the judge of chapter 1 judges them like all others:

# %%
rng = np.random.default_rng(0)
model = Sequential(Dense(3, 5, rng=rng), ReLU(), Dense(5, 2, rng=rng)).astype(np.float64).to("emulated")
with mode(check=True):
    report = gradcheck.check(model, cupy.asarray(rng.normal(size=(4, 3))), rng=rng)
print("a small network on the emulated GPU, all slopes right:", report.ok())

# %% [markdown]
# ## Memory comes in rows
#
# Thirty-two threads with neighbouring numbers form a *warp*, and a warp moves in step: all its threads do the same
# line at the same time. When they read memory, the card fetches *sectors* of 32 bytes, eight floats. If the threads
# read 32 floats in a row, that is four sectors and nothing wasted. If each reads a float far from the others, it is
# 32 sectors for the same 32 numbers. The emulator counts them.


# %%
def sectors(index):
    """Sectors that one warp moves to read x[index]."""
    text = f"""
    extern "C" __global__ void k(const float* x, float* y)
    {{
        y[threadIdx.x] = x[{index}];
    }}
    """
    _, counted = launch(text, 1, 32, np.zeros(2048, np.float32), np.zeros(32, np.float32), profile=True)
    return counted.total("read global").moved


patterns = {
    "in a row": "threadIdx.x",
    "every second": "2 * threadIdx.x",
    "every eighth": "8 * threadIdx.x",
    "a column of a\n64-wide matrix": "64 * threadIdx.x",
    "all the same": "5",
}
moved = {name: sectors(index) for name, index in patterns.items()}
print({name.replace("\n", " "): count for name, count in moved.items()})
fig, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
ax.barh(list(moved)[::-1], list(moved.values())[::-1], color="#9dc3e6")
ax.set(xlabel="sectors of 32 bytes for one read of a warp")
plt.show()

# %% [markdown]
# Therefore neighbouring threads work on neighbouring numbers, wherever it can be had. That is the first law of fast
# kernels. Reading in a row is called *coalesced*.
#
# ## Adding up: threads must meet
#
# A sum of many numbers is harder, for its parts depend on each other. Give each thread of a block a few numbers; each
# has a partial sum. To add those, the threads must see each other's. For that a block has *shared memory*, small and
# fast, declared `__shared__`. And they must *wait*: nobody may read a neighbour's sum before it is there.
# `__syncthreads()` is a meeting point; no thread goes on before all threads of the block have come.
#
# The sums are added in pairs, then pairs of pairs: 128, 64, 32 ... threads each add one. After seven rounds for 128
# threads, thread 0 holds the sum.

# %%
SUM = """
extern "C" __global__ void k(const float* x, float* total, int n)
{
    __shared__ float sums[128];
    int t = threadIdx.x;
    float sum = 0;
    for (int k = t; k < n; k += 128) sum += x[k];    // in a row: thread t takes t, t + 128, ...
    sums[t] = sum;
    __syncthreads();                                 // all sums are there
    for (int half = 64; half > 0; half /= 2) {
        if (t < half) sums[t] += sums[t + half];
        __syncthreads();                             // this round is done before the next reads it
    }
    if (t == 0) *total = sums[0];
}
"""
numbers = rng.normal(size=1000).astype(np.float32)
(_, total), _ = launch(SUM, 1, 128, numbers, np.zeros(1, np.float32), 1000)
print(f"by the kernel {float(total[0]):.4f}, by NumPy {float(numbers.sum()):.4f}")

fig, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
for level, count in enumerate((8, 4, 2, 1)):
    for t in range(8):
        live = t < count
        ax.add_patch(plt.Rectangle((t, -level), 0.9, 0.6, facecolor="#c6e0b4" if live else "#eeeeee", edgecolor="#777777"))
    for t in range(count // 2):
        for source in (t, t + count // 2):
            ax.annotate("", (t + 0.45, -level - 0.4), (source + 0.45, -level), arrowprops={"arrowstyle": "->", "lw": 0.8})
ax.text(8.2, -0.5, "__syncthreads()\nbetween rounds", va="center", fontsize=8)
ax.set(xlim=(-0.2, 10.5), ylim=(-3.2, 0.8))
ax.axis("off")
plt.show()

# %% [markdown]
# **What breaks if a meeting is left out?** Then it depends on who is faster: a *race*. On a GPU it may go well for
# months. The emulator runs threads one after the other, in any order that we choose, and remembers who touched what
# since the last meeting:

# %%
RACE = SUM.replace("        __syncthreads();                             // this round is done before the next reads it\n", "")
try:
    launch(RACE, 1, 128, numbers, np.zeros(1, np.float32), 1000)
except KernelError as error:
    print(str(error).splitlines()[1].strip())
sums = {
    order: float(launch(RACE, 1, 128, numbers, np.zeros(1, np.float32), 1000, check=False, order=order)[0][1][0])
    for order in ("forward", "reverse")
}
print("without the check the answer hangs on the order of the threads:", sums["forward"] != sums["reverse"])

# %% [markdown]
# Every kernel of the library runs through this in its tests: checked, and in forward, reverse and shuffled orders,
# with the same bits each time. `faceseed emulate my.cu --grid 4 --block 64 --args x=200 n=200` does it for a kernel
# of your own.
#
# ## A matrix product
#
# Now the kernel that a dense layer needs, $C = A B$ with $A$ of $(M, K)$, $B$ of $(K, N)$. First as the sum says, one
# thread for each number of $C$:

# %%
show_kernel("gemm.cu", "gemm_naive")

# %% [markdown]
# Each thread reads $2K$ numbers for $K$ multiplications, all from far memory, and its neighbours read mostly the same
# ones. So let a block fetch them once for all. A block of 16 × 16 threads makes a tile of $C$. Step by step it brings
# a 16 × 16 tile of $A$ and one of $B$ into shared memory, each thread one number of each; then every number serves 16
# threads.

# %%
show_kernel("gemm.cu", "gemm_tile")

# %% [markdown]
# Two meetings a step: the tiles must be whole before they are read, and read before they are written over. Rows and
# columns beyond the ends count as zero. The library keeps both kernels, and a third; `prefer` says which one a call
# shall take, and `profile.profiles()` has the counts of all that ran. For a product of 64 × 64 matrices:

# %%
a, b = rng.normal(size=(2, 64, 64)).astype(np.float32)
counts = {}
for rung in ("naive", "tile", "block"):
    with mode(profile=True), prefer(gemm=rung):
        c = gemm(cupy.asarray(a), cupy.asarray(b)).get()
        (counted,) = [one for one in profile.profiles() if one.name == f"gemm_{rung}"]
    counts[rung] = {what: counted.total(what).moved for what in ("read global", "read shared")}
    print(f"{rung}: right {np.allclose(c, a @ b, atol=1e-4)}, {counts[rung]}")
fig, axes = plt.subplots(1, 2, figsize=(7.5, 2.6), layout="constrained")
for ax, (what, unit) in zip(axes, (("read global", "sectors of 32 bytes"), ("read shared", "passes")), strict=True):
    ax.bar(list(counts), [counts[rung][what] for rung in counts], color="#9dc3e6")
    ax.set(title=what, ylabel=unit)
plt.show()

# %% [markdown]
# The tile reads far memory much less. But each multiplication still takes two reads from shared memory, and that is
# the next bound. The third rung, `block`, lets each thread make 8 × 8 numbers of $C$ in its own registers: 16 numbers
# read serve 64 multiplications. The rungs are those of chapter 4 in other clothes: bring the data near, and use each
# number many times before it leaves.
#
# Shared memory has a law of its own. It is spread over 32 *banks*, number $k$ in bank $k \bmod 32$, and each bank
# serves one number at a time. **What breaks if all threads of a warp read one column** of a tile that is 32 wide? All
# its numbers lie in one bank, and the warp waits 32 times. One number more in each row, and they lie in 32 different
# banks; look for `TILE + 1` above.


# %%
def passes(pitch):
    """Passes over the banks for one read of a column by a warp, rows `pitch` numbers apart."""
    text = f"""
    extern "C" __global__ void k(float* y)
    {{
        __shared__ float tile[32 * {pitch}];
        for (int j = 0; j < {pitch}; j++) tile[threadIdx.x * {pitch} + j] = j;
        __syncthreads();
        y[threadIdx.x] = tile[threadIdx.x * {pitch} + 3];
    }}
    """
    _, counted = launch(text, 1, 32, np.zeros(32, np.float32), profile=True)
    return counted.total("read shared").moved


print({f"rows {pitch} apart": passes(pitch) for pitch in (32, 33, 34, 36)})

# %% [markdown]
# What the emulator does not tell is time. It counts what is moved and finds what is wrong; how long a card takes is
# measured on a card. [GPU results](../docs/gpu-results.md) says what has been measured so far.
#
# ## Exercises
#
# `python -m tutorials check 12` writes the tasks into your file and judges it. The last three ask for a kernel, as a
# string; the emulator compiles and checks it.
#
# ### 12.1 How many blocks?
#
# Enough, and not one too many.

# %%
exercise("12.1")

# %% [markdown]
# ### 12.2 Count the sectors
#
# What a warp moves.

# %%
exercise("12.2")

# %% [markdown]
# ### 12.3 A first kernel
#
# With its guard.

# %%
exercise("12.3")

# %% [markdown]
# ### 12.4 The largest number
#
# Threads that meet.

# %%
exercise("12.4")

# %% [markdown]
# ### 12.5 A matrix times a vector
#
# A warp for each row.

# %%
exercise("12.5")

# %% [markdown]
# ## What you can do now
#
# You can think in threads: who works on what, who must wait for whom, what moves through which memory. You can prove
# a kernel right without a card. The last chapter climbs with convolution and the LSTM from the plain sum to tensor
# cores.
#
# Next: [13 From tiles to tensor cores](ch13_kernels.py)
