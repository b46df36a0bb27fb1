// scheduler.h: the threads of the block that is running, and what the other parts of the machine need to know of them.
#pragma once
#define THE_MACHINE_ITSELF
#include "machine.h"

#include <vector>

#include "fibre.h"

enum class State : uint8_t { NEW, READY, AT_BARRIER, IN_WARP, DONE };

// A cp.async on its way.
struct Copy {
    void* to;
    const void* from;
    unsigned bytes;
    bool inside;       // false: zeros arrive, and `from` is not read
    int group;         // which commit closed it
};

struct Thread {
    State state;
    int number;             // x + y * blockDim.x + z * blockDim.x * blockDim.y
    uint3 index;
    Fibre* fibre;           // where it stopped
    const char* file;       // the barrier or warp operation it waits at
    int line;
    unsigned mask;          // of that operation
    const void* kind;
    void* payload;
    int group;              // of copies, still open
    std::vector<Copy> copies;
};

enum class Order : uint32_t { FORWARD, REVERSE, SHUFFLED };

// What module.py fills in for a launch, packed with Python's struct module.
struct Launch {
    void (*call)(const uint64_t* slots);
    const char* library;            // where the kernel's library begins
    char* (*shared)();              // a place in its static shared memory: another one in every thread of the system
    const char* signature;          // two letters a parameter, see export.h
    const char* names;              // of the parameters, "x,y,n"
    uint32_t grid[3], block[3];
    uint32_t shared_bytes;
    Order order;
    uint32_t seed;
    uint32_t watching;              // 0 nothing, 1 every access, 2 and count it
    uint32_t early_copies;
    uint32_t parameters;            // how many
    uint64_t slots[];               // the arguments, then the sizes of the arrays in bytes
};

extern const Launch* launch;        // the one in progress
extern Thread* current;             // the thread that runs; null between blocks
extern std::vector<Thread> threads; // of the block
extern uint32_t block_number;       // the how-manieth block since the program began, from 1
extern uint32_t interval;           // how many barriers the block has passed, from 1

void prepare_threads();             // for a new launch
bool run_block();                   // blockIdx is set; false: its threads did not come to their end
[[noreturn]] void stop_launch();    // leave the thread that runs for good
void shuffle(std::vector<uint32_t>& numbers);  // as the launch's seed says
void seed_shuffles(uint32_t seed);
