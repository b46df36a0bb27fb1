// fibre.h: stacks to run on, and the switch from one to another.
//
// A fibre is a stack with a place where the code on it stopped. Switching pushes the registers that a function must keep for its caller,
// exchanges the stack pointers, and pops the other fibre's registers: a call that returns somewhere else. No kernel, no lock: some
// nanoseconds, where a switch between two threads of the operating system takes microseconds.
#pragma once
#include <stddef.h>

constexpr size_t STACK_BYTES = 128 << 10;

struct Fibre {
    void* stack_pointer;   // where it stopped
    char* stack;           // its lowest byte; below lies a page that nobody may touch
};

extern "C" void fibre_switch(void** save_here, void* resume_there) __attribute__((visibility("hidden")));

Fibre* fibre_number(int number);                  // 0..1023; its stack is made at the first call
void fibre_begin(Fibre* fibre, void (*body)());   // the next switch to it calls body, which must never return
bool is_guard_page(const void* address);          // a thread's stack has overflowed into this address
