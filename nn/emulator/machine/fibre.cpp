// fibre.cpp: the switch in assembly, and where the stacks come from.
#include "fibre.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__x86_64__)
// The callee-saved registers are rbp, rbx, r12 to r15. `ret` pops the address at which the other fibre had called.
asm(R"(
.text
.globl fibre_switch
.hidden fibre_switch
.type fibre_switch, @function
fibre_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size fibre_switch, .-fibre_switch
)");
constexpr int SAVED = 6;       // registers that the first switch pops
constexpr int ENTRY = SAVED;   // above them lies the address to which it returns; above that, a caller's address that is never used
constexpr int FRAME = SAVED + 2;

#elif defined(__aarch64__)
// Callee-saved: x19 to x28, the frame pointer x29, the return address x30, and the lower halves of v8 to v15.
asm(R"(
.text
.globl fibre_switch
.hidden fibre_switch
.type fibre_switch, %function
fibre_switch:
    sub sp, sp, #160
    stp x19, x20, [sp]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
.size fibre_switch, .-fibre_switch
)");
constexpr int ENTRY = 11;      // x30: where `ret` goes
constexpr int FRAME = 20;

#else
#error "the emulator runs on x86-64 and aarch64"
#endif

constexpr int MOST_FIBRES = 1024;             // threads of a block
constexpr size_t GUARD_BYTES = 64 << 10;  // at least a page, on every kernel
static char* stacks;                    // guard, stack, guard, stack, ...
static Fibre fibres[MOST_FIBRES];

Fibre* fibre_number(int number)
{
    if (!stacks) {  // addresses only: memory comes page by page as it is touched
        const size_t bytes = MOST_FIBRES * (GUARD_BYTES + STACK_BYTES);
        stacks = (char*)mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (stacks == MAP_FAILED)
            abort();  // 192 MB of addresses: only a strict `ulimit -v` refuses them
    }
    Fibre* fibre = &fibres[number];
    if (!fibre->stack) {
        fibre->stack = stacks + number * (GUARD_BYTES + STACK_BYTES) + GUARD_BYTES;
        mprotect(fibre->stack, STACK_BYTES, PROT_READ | PROT_WRITE);
    }
    return fibre;
}

void fibre_begin(Fibre* fibre, void (*body)())
{
    // Tops a little apart: at equal distances all the stacks would meet in the same few lines of the cache.
    const size_t apart = (fibre - fibres) % 64 * 128;
    void** frame = (void**)(fibre->stack + STACK_BYTES - apart) - FRAME;
    memset(frame, 0, FRAME * sizeof(void*));
    frame[ENTRY] = (void*)body;
    fibre->stack_pointer = frame;
}

bool is_guard_page(const void* address)
{
    const size_t offset = (const char*)address - stacks;
    return stacks && offset < MOST_FIBRES * (GUARD_BYTES + STACK_BYTES) && offset % (GUARD_BYTES + STACK_BYTES) < GUARD_BYTES;
}
