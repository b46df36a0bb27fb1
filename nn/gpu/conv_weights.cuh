// Where the pixels of dy look into x: what the weight gradients of conv_weights.cu and conv_weights_mma.cu share.
//
// Pixel p = (n, i, j) of dy meets x[n, i·stride_i + r - top, j·stride_j + s - left, c]. To divide p by J and I, and to ask of each tap
// (r, s) whether it lies in the frame, is dear; so a block works it out once for SEGMENT pixels, and keeps two numbers a pixel.
#pragma once

struct Shape { int H, W, C, I, J, R, S, stride_i, stride_j, top, left; };

// A pixel's place: where x[n, i·stride_i - top, j·stride_j - left, 0] lies (perhaps outside x), and of which taps r·S + s the frame
// holds the number, one bit each: so R·S <= 32.
struct __align__(8) Place { int at; unsigned inside; };

#define SEGMENT 256                  // pixels described at once

// Where a pixel stands in a ring of 2·SEGMENT places that began `steps` pixels before it: one half is read while the other is written.
__device__ __forceinline__ int in_ring(int steps)
{
    return steps & (2 * SEGMENT - 1);
}

// Places of the pixels from `from` to from + SEGMENT - 1, into their half of a ring that began with pixel `start`.
// Pixels outside first..last-1 see nothing of x.
__device__ __forceinline__ void describe(Place* ring, int start, int from, int first, int last, const Shape& f)
{
    #pragma unroll 1                 // it runs once a segment: small code and few registers matter more here
    for (int e = threadIdx.x; e < SEGMENT; e += blockDim.x) {
        const int p = from + e;
        Place place = {0, 0};
        if (p >= first && p < last) {
            const int j = p % f.J, i = p / f.J % f.I, n = p / f.J / f.I;
            const int h = i * f.stride_i - f.top, w = j * f.stride_j - f.left;
            place.at = ((n * f.H + h) * f.W + w) * f.C;
            #pragma unroll 1
            for (int r = 0; r < f.R; r++)
                #pragma unroll 1
                for (int s = 0; s < f.S; s++)
                    if (h + r >= 0 && h + r < f.H && w + s >= 0 && w + s < f.W) place.inside |= 1u << (r * f.S + s);
        }
        ring[in_ring(p - start)] = place;
    }
}
