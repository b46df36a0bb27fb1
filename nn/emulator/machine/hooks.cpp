// hooks.cpp: what g++ calls from a kernel that it compiles with -fsanitize=thread,undefined. The compiler puts a call in front of every
// access, __tsan_read4(address) and its like, and in front of arithmetic that may go wrong; the functions called are ours.
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "faults.h"
#include "lines.h"
#include "scheduler.h"

#define HERE __builtin_return_address(0)
#define HOOK(name, ...) extern "C" void __tsan_##name(__VA_ARGS__)

#define ACCESSES_OF(bytes)                                                                        \
    HOOK(read##bytes, void* at) { machine_access(at, bytes, READ, HERE); }                        \
    HOOK(write##bytes, void* at) { machine_access(at, bytes, WRITE, HERE); }                      \
    HOOK(unaligned_read##bytes, void* at) { machine_access(at, bytes, READ, HERE); }              \
    HOOK(unaligned_write##bytes, void* at) { machine_access(at, bytes, WRITE, HERE); }            \
    HOOK(volatile_read##bytes, void* at) { machine_access(at, bytes, READ, HERE); }               \
    HOOK(volatile_write##bytes, void* at) { machine_access(at, bytes, WRITE, HERE); }             \
    HOOK(unaligned_volatile_read##bytes, void* at) { machine_access(at, bytes, READ, HERE); }     \
    HOOK(unaligned_volatile_write##bytes, void* at) { machine_access(at, bytes, WRITE, HERE); }   \
    HOOK(read_write##bytes, void* at)                                                             \
    {                                                                                             \
        machine_access(at, bytes, READ, HERE);                                                    \
        machine_access(at, bytes, WRITE, HERE);                                                   \
    }                                                                                             \
    HOOK(unaligned_read_write##bytes, void* at)                                                   \
    {                                                                                             \
        machine_access(at, bytes, READ, HERE);                                                    \
        machine_access(at, bytes, WRITE, HERE);                                                   \
    }
ACCESSES_OF(1)
ACCESSES_OF(2)
ACCESSES_OF(4)
ACCESSES_OF(8)
ACCESSES_OF(16)

// An object of another size: byte by byte if it lies anyhow, else in words.
static void range(const void* at, size_t bytes, int kind, void* instruction)
{
    const size_t step = ((size_t)at | bytes) % 4 ? 1 : 4;
    for (size_t i = 0; i < bytes; i += step)
        machine_access((const char*)at + i, step, kind, instruction);
}

HOOK(read_range, void* at, size_t bytes) { range(at, bytes, READ, HERE); }
HOOK(write_range, void* at, size_t bytes) { range(at, bytes, WRITE, HERE); }
HOOK(func_entry, void*) {}
HOOK(func_exit) {}
HOOK(init) {}
HOOK(vptr_update, void*, void*) {}
HOOK(vptr_read, void*) {}

// The linker sends a kernel's memcpy and memset here (--wrap).
extern "C" void* __wrap_memcpy(void* to, const void* from, size_t bytes)
{
    range(from, bytes, READ, HERE);
    range(to, bytes, WRITE, HERE);
    return memcpy(to, from, bytes);
}
extern "C" void* __wrap_memmove(void* to, const void* from, size_t bytes)
{
    range(from, bytes, READ, HERE);
    range(to, bytes, WRITE, HERE);
    return memmove(to, from, bytes);
}
extern "C" void* __wrap_memset(void* to, int value, size_t bytes)
{
    range(to, bytes, WRITE, HERE);
    return memset(to, value, bytes);
}

// The __atomic functions of C++, as far as somebody may use them in a kernel.
#define ATOMICS_OF(bits, T)                                                                                         \
    extern "C" T __tsan_atomic##bits##_load(const T* at, int) { machine_access(at, sizeof(T), ATOMIC, HERE); return *at; } \
    extern "C" void __tsan_atomic##bits##_store(T* at, T value, int) { machine_access(at, sizeof(T), ATOMIC, HERE); *at = value; } \
    CHANGES(bits, T, exchange, value)                                                                               \
    CHANGES(bits, T, fetch_add, old + value)                                                                        \
    CHANGES(bits, T, fetch_sub, old - value)                                                                        \
    CHANGES(bits, T, fetch_and, old & value)                                                                        \
    CHANGES(bits, T, fetch_or, old | value)                                                                         \
    CHANGES(bits, T, fetch_xor, old ^ value)                                                                        \
    extern "C" int __tsan_atomic##bits##_compare_exchange_strong(T* at, T* expected, T value, int, int)             \
    {                                                                                                               \
        machine_access(at, sizeof(T), ATOMIC, HERE);                                                                \
        const T old = *at;                                                                                          \
        if (old == *expected)                                                                                       \
            *at = value;                                                                                            \
        const bool done = old == *expected;                                                                         \
        *expected = old;                                                                                            \
        return done;                                                                                                \
    }
#define CHANGES(bits, T, name, changed)                                   \
    extern "C" T __tsan_atomic##bits##_##name(T* at, T value, int)        \
    {                                                                     \
        machine_access(at, sizeof(T), ATOMIC, HERE);                      \
        const T old = *at;                                                \
        *at = (changed);                                                  \
        return old;                                                       \
    }
ATOMICS_OF(8, uint8_t)
ATOMICS_OF(16, uint16_t)
ATOMICS_OF(32, uint32_t)
ATOMICS_OF(64, uint64_t)
extern "C" void __tsan_atomic_thread_fence(int) {}
extern "C" void __tsan_atomic_signal_fence(int) {}

// ---- arithmetic: each report begins with the place in the source ----

struct Place {
    const char* file;
    uint32_t line, column;
};

static void undefined(const void* report, const char* what)
{
    if (!current)
        return;
    const Place* place = (const Place*)report;
    fault(at(place->file, place->line), what, *current);
}

#define UNDEFINED(name, what) \
    extern "C" void __ubsan_handle_##name(void* report, uintptr_t, uintptr_t) { undefined(report, what); }
UNDEFINED(add_overflow, "integer overflow in an addition")
UNDEFINED(sub_overflow, "integer overflow in a subtraction")
UNDEFINED(mul_overflow, "integer overflow in a multiplication")
UNDEFINED(negate_overflow, "integer overflow in a negation")
UNDEFINED(shift_out_of_bounds, "shift by a negative number, or by as many bits as there are")
UNDEFINED(pointer_overflow, "out-of-bounds pointer arithmetic")
UNDEFINED(float_cast_overflow, "a float that does not fit in the integer it becomes")
UNDEFINED(load_invalid_value, "a value that its type cannot hold")

extern "C" void __ubsan_handle_divrem_overflow(void* report, uintptr_t, uintptr_t)
{
    undefined(report, "division by zero, or of the least integer by -1");
    stop_launch();
}

extern "C" void __ubsan_handle_out_of_bounds(void* report, uintptr_t index)
{
    undefined(report, text("out-of-bounds index %ld into an array of fixed size", (long)index).c_str());
}

extern "C" void __ubsan_handle_type_mismatch_v1(void* report, uintptr_t address)
{
    undefined(report, address ? "misaligned access: its address is no multiple of what its type needs" : "out-of-bounds access through a null pointer");
    if (!address)
        stop_launch();
}

extern "C" void __ubsan_handle_builtin_unreachable(void* report)
{
    undefined(report, "a place that should never be reached");
    stop_launch();
}

// ---- lines: -fsanitize-coverage=trace-pc puts this call at the start of each basic block ----

extern "C" void __sanitizer_cov_trace_pc()
{
    if (current)
        count_block((const char*)HERE - launch->library, (const char*)__builtin_frame_address(0));
}
