// memory.h: the pieces of memory that a kernel may touch, and what is remembered of each number in them.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <string>
#include <vector>

constexpr size_t ZONE = 64 << 10;  // nobody's, around each array: an index that is off by less is seen as such, and whose it is

// Who touched a number last.
struct Access {
    uint32_t block;      // its block_number; 0: nobody
    uint32_t interval;   // how many barriers that block had passed
    uint32_t clock;      // how many __syncwarp()s that thread had passed
    uint32_t place;      // the instruction, by its offset in the library
    uint32_t thread;
};

// What is remembered of a number: enough to tell whether the next access could have come at the same time as one before it.
struct Cell {
    Access write;
    Access read;               // a reader since the last write; if several in this interval, the first one, and:
    Access other_warp;         //   one of another warp, in the same interval
    Access other_block;        //   one of a block before this one
    uint32_t lanes;            //   those of its own warp: a number in lane_sets, if not 0
    uint16_t copying_thread;   // 1 + the thread whose cp.async into it is still on its way
    bool atomic;               // the last write was an atomic operation

    void forget_reads();
    void forget();
};

// Numbers of a thread's argument or of shared memory. Where arrays overlap, one region covers them all.
struct Region {
    char* begin;
    char* end;
    bool shared;
    bool writable;             // if not, nothing can race in it, and no cells are kept
    bool mixed;                // const arrays overlap with writable ones
    unsigned shift;            // a cell stands for 1 << shift bytes: as fine as the finest access so far
    Cell* cells;
    std::vector<uint16_t> owners;  // static shared memory: for each byte the variable that it belongs to, 0 for none

    unsigned grain() const { return 1u << shift; }
    void refine();             // one cell a byte from now on
};

// A name within a region.
struct Variable {
    std::string name;
    char* begin;
    char* end;
    unsigned element;          // bytes
    bool writable;
};

extern std::vector<Region> regions;
extern std::vector<Variable> variables;

// The arguments copied to where a wide zone of NaNs that belongs to nobody lies around each: an access that is a little off does no harm
// and gives a wrong result, in every mode. `slots` then points to the copies.
void guard_arguments(uint64_t* slots);
void fetch_arguments();                                  // what was written goes back to the caller's arrays
void add_arguments();                                    // the copies as regions
void add_shared_memory();                                // static and dynamic shared memory as regions
void forget_regions();

Region* region_of(const char* address);                  // null: nobody's
const Variable* variable_of(const char* address, bool write);
const Variable* nearest_variable(const char* address);   // within 64 KB; null if there is none
std::string element_of(const Variable& variable, const char* address);  // "As[33]", "x[-1] (x has 1000 elements)"
