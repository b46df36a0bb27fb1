// export.h: how a kernel is called from outside. Behind the text of a .cu file compiler.py appends EXPORT_KERNEL(name, "x,y,n", most) for
// each of its kernels; Python reads the signature, and launch.cpp calls the kernel through call_name.
#pragma once
#include "machine.h"

namespace machine {

// A type as one letter, those of Python's struct module. v: void, S: a struct, which cannot be passed.
template <class T>
constexpr char letter()
{
    if constexpr (__is_same(T, void))
        return 'v';
    else if constexpr (__is_same(T, bool))
        return '?';
    else if constexpr (__is_same(T, float))
        return 'f';
    else if constexpr (__is_same(T, double))
        return 'd';
    else if constexpr (__is_class(T))
        return 'S';
    else if constexpr (T(-1) < T(1))
        return "?bh?i???q"[sizeof(T)];
    else
        return "?BH?I???Q"[sizeof(T)];
}

// A parameter as two letters: n a number, w an array that may be written, c a const array; then its type.
template <class T> struct Parameter { static constexpr char role = 'n', type = letter<T>(); };
template <class T> struct Parameter<T*> { static constexpr char role = 'w', type = letter<T>(); };
template <class T> struct Parameter<const T*> { static constexpr char role = 'c', type = letter<T>(); };

template <class... Types>
UNWATCHED const char* signature(void (*)(Types...))
{
    static char text[2 * sizeof...(Types) + 1];
    char* end = text;
    ((*end++ = Parameter<Types>::role, *end++ = Parameter<Types>::type), ...);
    return text;
}

// Every argument lies in a slot of 8 bytes.
template <class T>
UNWATCHED_INLINE T taken_from(const uint64_t*& slot)
{
    return *(const T*)slot++;
}

struct Call {
    template <class... Types>
    UNWATCHED_INLINE Call(void (*kernel)(Types...), Types... arguments) { kernel(arguments...); }
};

template <class... Types>
UNWATCHED void call(void (*kernel)(Types...), const uint64_t* slot)
{
    Call{kernel, taken_from<Types>(slot)...};  // in braces they are taken from left to right
}

}  // namespace machine

#define EXPORT_KERNEL(name, names, most)                                                          \
    extern "C" UNWATCHED void call_##name(const uint64_t* slots) { machine::call(&name, slots); } \
    extern "C" UNWATCHED const char* signature_##name() { return machine::signature(&name); }     \
    extern "C" UNWATCHED const char* names_##name() { return names; }                             \
    extern "C" UNWATCHED int most_threads_##name() { return most; }

// What the machine must know of the library that the kernels are in: where it lies, and a place in its shared memory (see __shared__).
extern "C" const char __ehdr_start[] __attribute__((visibility("hidden")));  // the linker's name for its first byte
__shared__ char shared_memory_of_this_library;
extern "C" UNWATCHED const char* library_start() { return __ehdr_start; }
extern "C" UNWATCHED char* library_shared() { return &shared_memory_of_this_library; }

// The __shared__ variables with their types, "As:float,smem*:float"; * is `extern __shared__`.
#define EXPORT_SHARED_TYPES(text) \
    extern "C" UNWATCHED const char* shared_types() { return text; }
