// intrinsics.h: the functions that CUDA C knows without a header. C's own headers would do, but take g++ longer than the kernels do;
// they are taken only where a .cu file includes a header of its own (FULL_HEADERS, see source.py).
#pragma once

#ifdef FULL_HEADERS
#include <math.h>
#include <stdio.h>
#include <string.h>
#else
extern "C" {
int printf(const char*, ...) __attribute__((format(printf, 1, 2)));
void* memcpy(void*, const void*, size_t) noexcept;
void* memset(void*, int, size_t) noexcept;
int abs(int) noexcept;
}
#define ONE_ARGUMENT(name)                           \
    extern "C" double name(double) noexcept;         \
    extern "C" float name##f(float) noexcept;        \
    inline float name(float x) { return name##f(x); }
#define TWO_ARGUMENTS(name)                                 \
    extern "C" double name(double, double) noexcept;        \
    extern "C" float name##f(float, float) noexcept;        \
    inline float name(float x, float y) { return name##f(x, y); }
ONE_ARGUMENT(exp) ONE_ARGUMENT(exp2) ONE_ARGUMENT(expm1) ONE_ARGUMENT(log) ONE_ARGUMENT(log2) ONE_ARGUMENT(log10) ONE_ARGUMENT(log1p)
ONE_ARGUMENT(sin) ONE_ARGUMENT(cos) ONE_ARGUMENT(tan) ONE_ARGUMENT(asin) ONE_ARGUMENT(acos) ONE_ARGUMENT(atan)
ONE_ARGUMENT(sinh) ONE_ARGUMENT(cosh) ONE_ARGUMENT(tanh) ONE_ARGUMENT(erf) ONE_ARGUMENT(erfc)
ONE_ARGUMENT(sqrt) ONE_ARGUMENT(cbrt) ONE_ARGUMENT(fabs) ONE_ARGUMENT(floor) ONE_ARGUMENT(ceil) ONE_ARGUMENT(round) ONE_ARGUMENT(rint)
ONE_ARGUMENT(trunc)
TWO_ARGUMENTS(pow) TWO_ARGUMENTS(fmod) TWO_ARGUMENTS(fmin) TWO_ARGUMENTS(fmax) TWO_ARGUMENTS(atan2) TWO_ARGUMENTS(hypot)
TWO_ARGUMENTS(copysign)
extern "C" double fma(double, double, double) noexcept;
extern "C" float fmaf(float, float, float) noexcept;
inline float fma(float x, float y, float z) { return fmaf(x, y, z); }
#define isnan(x) __builtin_isnan(x)
#define isinf(x) __builtin_isinf(x)
#define isfinite(x) __builtin_isfinite(x)
#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")
#endif

inline float rsqrtf(float x) { return 1.f / sqrtf(x); }
inline float rsqrt(float x) { return rsqrtf(x); }
inline double rsqrt(double x) { return 1. / sqrt(x); }

// The hardware's quick and less exact functions: exact here.
#define __expf(x) expf(x)
#define __logf(x) logf(x)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __powf(x, y) powf(x, y)
#define __fdividef(x, y) ((float)(x) / (float)(y))
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fsub_rn(float x, float y) { return x - y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __frsqrt_rn(float x) { return rsqrtf(x); }
inline float __frcp_rn(float x) { return 1.f / x; }
inline float __saturatef(float x) { return x > 0.f ? (x < 1.f ? x : 1.f) : 0.f; }  // a NaN becomes 0

template <class To, class From>
inline To same_bits(From value)
{
    static_assert(sizeof(To) == sizeof(From));
    return __builtin_bit_cast(To, value);
}
inline int __float_as_int(float x) { return same_bits<int>(x); }
inline unsigned __float_as_uint(float x) { return same_bits<unsigned>(x); }
inline float __int_as_float(int x) { return same_bits<float>(x); }
inline float __uint_as_float(unsigned x) { return same_bits<float>(x); }
inline long long __double_as_longlong(double x) { return same_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return same_bits<double>(x); }
inline int __float2int_rn(float x) { return (int)rintf(x); }
inline int __float2int_rd(float x) { return (int)floorf(x); }
inline int __float2int_rz(float x) { return (int)x; }

#define __popc(x) __builtin_popcount(x)
#define __popcll(x) __builtin_popcountll(x)
#define __ffs(x) __builtin_ffs(x)
#define __clz(x) machine_leading_zeros(x)
inline int machine_leading_zeros(unsigned x) { return x ? __builtin_clz(x) : 32; }
inline unsigned __umulhi(unsigned x, unsigned y) { return (unsigned)((unsigned long long)x * y >> 32); }
inline int __mulhi(int x, int y) { return (int)((long long)x * y >> 32); }
inline unsigned __brev(unsigned x)
{
    unsigned reversed = 0;
    for (int bit = 0; bit < 32; bit++)
        reversed |= (x >> bit & 1) << (31 - bit);
    return reversed;
}

template <class T>
inline T __ldg(const T* at)
{
    return *at;
}

#define LESSER_AND_GREATER(T)                         \
    inline T min(T x, T y) { return y < x ? y : x; }  \
    inline T max(T x, T y) { return x < y ? y : x; }
LESSER_AND_GREATER(int) LESSER_AND_GREATER(unsigned) LESSER_AND_GREATER(long long) LESSER_AND_GREATER(unsigned long long)
inline float min(float x, float y) { return fminf(x, y); }
inline float max(float x, float y) { return fmaxf(x, y); }
inline double min(double x, double y) { return fmin(x, y); }
inline double max(double x, double y) { return fmax(x, y); }
inline unsigned min(int x, unsigned y) { return min((unsigned)x, y); }
inline unsigned min(unsigned x, int y) { return min(x, (unsigned)y); }
inline unsigned max(int x, unsigned y) { return max((unsigned)x, y); }
inline unsigned max(unsigned x, int y) { return max(x, (unsigned)y); }
