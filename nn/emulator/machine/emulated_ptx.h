// emulated_ptx.h: the functions of nn/gpu/ptx.cuh, played on the CPU. See there for what each does on a GPU.
#pragma once

#define PLAYED UNWATCHED_INLINE static inline

// Copies to shared memory that arrive later: as late as the waits allow, or at once where mode(copies="early") says so.
UNWATCHED static void cp_async16(void* to, const void* from, bool inside)
{
    machine_copy(to, from, 16, inside, __builtin_return_address(0));
}

UNWATCHED static void cp_async4(void* to, const void* from, bool inside)
{
    machine_copy(to, from, 4, inside, __builtin_return_address(0));
}

PLAYED void cp_async_commit()
{
    machine_copy_commit();
}

template <int N>
PLAYED void cp_async_wait()
{
    machine_copy_wait(N);
}

namespace ptx {

// Lane l named the address of row l % 8 of matrix l / 8; lane l gets number l % 4 of row l / 4 of each matrix.
struct LoadMatrix {
    unsigned* got;
    const char* row;

    UNWATCHED static void join(void** payloads, unsigned mask, const char* file, int line)
    {
        if (mask != ~0u) {
            machine_fault(file, line, "divergent ldmatrix: all 32 lanes must take part (mask %08x)", mask);
            return;
        }
        for (int lane = 0; lane < 32; lane++)
            for (int matrix = 0; matrix < 4; matrix++) {
                const char* row = ((LoadMatrix*)payloads[matrix * 8 + lane / 4])->row;
                __builtin_memcpy(&((LoadMatrix*)payloads[lane])->got[matrix], row + lane % 4 * 4, 4);
            }
    }
};

UNWATCHED static void load_matrix(unsigned* r, const void* row, const char* file, int line)
{
    machine_access(row, 16, READ, __builtin_return_address(0));
    LoadMatrix payload{r, (const char*)row};
    machine_warp(~0u, (const void*)&LoadMatrix::join, &payload, &LoadMatrix::join, false, file, line);
}

// D (16 x 8) += A (16 x 8) B (8 x 8) of a whole warp: gathered from the lanes' fragments, multiplied, dealt out again.
struct Multiply {
    float* d;
    const unsigned* a;
    const unsigned* b;

    // The unit looks at 10 bits of mantissa and no more.
    UNWATCHED static float tf32(unsigned bits)
    {
        return __uint_as_float(bits & ~0x1fffu);
    }

    UNWATCHED static void join(void** payloads, unsigned mask, const char* file, int line)
    {
        if (mask != ~0u) {
            machine_fault(file, line, "divergent mma: all 32 lanes must take part (mask %08x)", mask);
            return;
        }
        Multiply** of_lane = (Multiply**)payloads;
        float A[16][8], B[8][8], D[16][8] = {};
        for (int lane = 0; lane < 32; lane++) {
            const int g = lane / 4, t = lane % 4;
            const unsigned *a = of_lane[lane]->a, *b = of_lane[lane]->b;
            A[g][t] = tf32(a[0]);
            A[g + 8][t] = tf32(a[1]);
            A[g][t + 4] = tf32(a[2]);
            A[g + 8][t + 4] = tf32(a[3]);
            B[t][g] = tf32(b[0]);
            B[t + 4][g] = tf32(b[1]);
        }
        for (int i = 0; i < 16; i++)
            for (int k = 0; k < 8; k++)
                for (int j = 0; j < 8; j++)
                    D[i][j] += A[i][k] * B[k][j];
        for (int lane = 0; lane < 32; lane++) {
            const int g = lane / 4, t = lane % 4;
            float* d = of_lane[lane]->d;
            d[0] += D[g][2 * t];
            d[1] += D[g][2 * t + 1];
            d[2] += D[g + 8][2 * t];
            d[3] += D[g + 8][2 * t + 1];
        }
    }
};

UNWATCHED static void multiply(float* d, const unsigned* a, const unsigned* b, const char* file, int line)
{
    Multiply payload{d, a, b};
    machine_warp(~0u, (const void*)&Multiply::join, &payload, &Multiply::join, false, file, line);
}

}  // namespace ptx

#define ldmatrix_x4(r, row) ptx::load_matrix(r, row, __FILE__, __LINE__)
#define mma_tf32(d, a, b) ptx::multiply(d, a, b, __FILE__, __LINE__)
