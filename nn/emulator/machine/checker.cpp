// checker.cpp: judges every access before it is made: is it within an array, aligned, allowed, and not in a race?
//
// A race. Two threads touch the same byte, one of them writes, and nothing puts the two in an order. In order are
//   - what one thread does;
//   - what the threads of a block do before and after a barrier: `interval` counts the barriers passed;
//   - what the lanes of a warp do before and after a __syncwarp() that both took part in: see `seen` below;
//   - nothing else: neither blocks among each other, nor shuffles and votes. Two atomic operations never race with each other.
// The two need not collide in the order in which this run happens to play the threads: that they could is enough, so one run of the
// checker judges all orders of one input. (An order that blocks make among themselves with __threadfence() and a flag is not known here:
// it is taken for a race.)
//
// For each number a Cell keeps the last write and the reads since. It need not keep all of them: see remember_read.
#include "checker.h"

#include <string.h>

#include <string>
#include <vector>

#include "faults.h"
#include "launch.h"
#include "memory.h"
#include "profile.h"

// ---- the clocks of a warp ----

// Lane a has seen all that lane b did up to b's clock seen[a][b]. A lane's own clock, seen[a][a], moves on at each __syncwarp().
struct WarpClocks {
    uint32_t seen[32][32];
};
static std::vector<WarpClocks> clocks;  // by warp

void order_lanes(const Thread* warp, unsigned mask)
{
    if (!launch->watching)
        return;
    WarpClocks& of_warp = clocks[warp->number / 32];
    uint32_t together[32] = {};
    for (int lane = 0; lane < 32; lane++)
        if (mask >> lane & 1)
            for (int other = 0; other < 32; other++)
                if (of_warp.seen[lane][other] > together[other])
                    together[other] = of_warp.seen[lane][other];
    for (int lane = 0; lane < 32; lane++)
        if (mask >> lane & 1) {
            memcpy(of_warp.seen[lane], together, sizeof together);
            of_warp.seen[lane][lane]++;
        }
}

static uint32_t clock_of(uint32_t thread, uint32_t other_lane)
{
    return clocks[thread / 32].seen[thread % 32][other_lane];
}

// The lanes of one warp that have read a number in this interval, and when.
struct LaneSet {
    uint32_t lanes;
    uint32_t clock[32];
    uint32_t place[32];
};
static std::vector<LaneSet> lane_sets;

void forget_lane_sets()
{
    lane_sets.resize(1);  // number 0 means none
}

void prepare_checker()
{
    clocks.resize((threads.size() + 31) / 32);
    memset(clocks.data(), 0, clocks.size() * sizeof(WarpClocks));
    for (WarpClocks& of_warp : clocks)
        for (int lane = 0; lane < 32; lane++)
            of_warp.seen[lane][lane] = 1;
    forget_lane_sets();
}

// ---- order ----

static Access this_access(uint32_t place)
{
    const uint32_t thread = current->number;
    return {block_number, interval, clock_of(thread, thread % 32), place, thread};
}

static bool of_this_interval(const Access& access)
{
    return access.block == block_number && access.interval == interval;
}

// Was `before` surely over when `now` came?
static bool in_order(const Access& before, const Access& now)
{
    if (before.block != now.block)
        return false;
    if (before.thread == now.thread || before.interval != now.interval)
        return true;
    return before.thread / 32 == now.thread / 32 && clock_of(now.thread, before.thread % 32) >= before.clock;
}

// The reads that matter to a later write. Of reads in one interval: a later one that is in order after an earlier one stands for both;
// two of different warps are never in order, so some writer races with one of them whatever the others do; only within a warp each lane
// counts. Of reads by earlier blocks any one will do.
static void remember_read(Cell& cell, const Access& now)
{
    Access& read = cell.read;
    if (read.block && read.block != now.block)
        cell.other_block = read;
    if (!of_this_interval(read)) {
        read = now;
        cell.lanes = 0;
        return;
    }
    if (read.thread / 32 != now.thread / 32) {
        if (!of_this_interval(cell.other_warp))
            cell.other_warp = now;
        return;
    }
    if (!cell.lanes) {
        if (read.thread == now.thread) {
            read = now;
            return;
        }
        cell.lanes = lane_sets.size();
        lane_sets.emplace_back();
        LaneSet& set = lane_sets.back();
        set.lanes = 1u << read.thread % 32;
        set.clock[read.thread % 32] = read.clock;
        set.place[read.thread % 32] = read.place;
    }
    LaneSet& set = lane_sets[cell.lanes];
    const uint32_t lane = now.thread % 32;
    set.lanes |= 1u << lane;
    set.clock[lane] = now.clock;
    set.place[lane] = now.place;
}

// A read since the last write that `now` is not in order with; block 0 where there is none.
static Access unordered_read(const Cell& cell, const Access& now, bool shared)
{
    if (!shared && cell.other_block.block)
        return cell.other_block;
    const Access& read = cell.read;
    if (!of_this_interval(read))
        return !shared && read.block && read.block != now.block ? read : Access{};
    if (read.thread / 32 != now.thread / 32)
        return read;
    if (of_this_interval(cell.other_warp))
        return cell.other_warp;
    if (!cell.lanes)
        return in_order(read, now) ? Access{} : read;
    const LaneSet& set = lane_sets[cell.lanes];
    for (uint32_t lane = 0; lane < 32; lane++) {
        const Access each{now.block, now.interval, set.clock[lane], set.place[lane], now.thread / 32 * 32 + lane};
        if (set.lanes >> lane & 1 && !in_order(each, now))
            return each;
    }
    return {};
}

// ---- what is told ----

static const char* const PAST[] = {"read", "written", "changed by an atomic"};
static const char* const DOES[] = {"read", "write", "atomic"};

static std::string what_lies_at(const char* address, bool write)
{
    const Variable* variable = variable_of(address, write);
    return variable ? element_of(*variable, address) : "shared memory of another kernel";
}

static void report_race(const char* address, int kind, const Access& now, const Access& before, int kind_before)
{
    fault(at(now.place), text("race: %s of ", DOES[kind]) + what_lies_at(address, kind != READ) + ", " + PAST[kind_before] + " by "
          + named(before.thread, before.block) + " at " + at(before.place) + ", with no barrier between", *current);
}

// An access that cannot be made. The thread is left before it.
static void refuse(const char* address, unsigned bytes, int kind, uint32_t place)
{
    std::string what = "null pointer";
    if ((size_t)address >= 4096) {
        const Variable* variable = variable_of(address, kind != READ);
        variable = variable ? variable : nearest_variable(address);
        what = variable ? element_of(*variable, address) : text("address %p, which is nobody's", (const void*)address);
        if (variable && address >= variable->begin && address < variable->end)
            what += text(": only %zu of them belong to it", (size_t)(variable->end - address));
    }
    fault(at(place), text("out-of-bounds %s of %u bytes at ", DOES[kind], bytes) + what, *current);
    stop_launch();
}

// ---- an access ----

static void judge_cell(Cell& cell, const char* address, int kind, const Access& now, bool shared)
{
    if (shared && cell.write.block != now.block && cell.read.block != now.block)
        cell.forget();  // what an earlier block left
    if (shared && !cell.write.block) {
        if (kind == READ)
            fault(at(now.place), "read of uninitialised shared memory " + what_lies_at(address, false), *current);
        if (kind == ATOMIC)
            fault(at(now.place), "atomic on uninitialised shared memory " + what_lies_at(address, false), *current);
    }
    if (cell.copying_thread)
        fault(at(now.place), text("race: %s of ", DOES[kind]) + what_lies_at(address, kind != READ) + ", into which the cp.async of "
              + named(cell.copying_thread - 1, now.block) + " at " + at(cell.write.place) + " is still on its way", *current);
    else if (cell.write.block && !in_order(cell.write, now) && !(kind == ATOMIC && cell.atomic))
        report_race(address, kind, now, cell.write, cell.atomic ? ATOMIC : WRITE);
    if (kind == READ) {
        remember_read(cell, now);
        return;
    }
    const Access read = unordered_read(cell, now, shared);
    if (read.block)
        report_race(address, kind, now, read, READ);
    cell.forget_reads();
    cell.copying_thread = 0;
    cell.write = now;
    cell.atomic = kind == ATOMIC;
}

static bool on_own_stack(const char* address)
{
    const char* here = (const char*)__builtin_frame_address(0);
    return (size_t)(address - here) < STACK_BYTES;  // the kernel's frames lie above this one
}

// Within static shared memory: in one variable, all of it?
static bool within_one_variable(const Region& region, const char* address, unsigned bytes)
{
    if (region.owners.empty())
        return true;
    const uint16_t owner = region.owners[address - region.begin];
    return owner && region.owners[address + bytes - 1 - region.begin] == owner;
}

extern "C" void machine_access(const void* where, unsigned bytes, int kind, void* instruction)
{
    const char* address = (const char*)where;
    if (!current || !launch->watching || on_own_stack(address))
        return;
    Region* region = region_of(address);
    if (!region && belongs_to_code(address))
        return;
    const uint32_t place = (const char*)instruction - launch->library - 1;
    if (!region || address + bytes > region->end || !within_one_variable(*region, address, bytes))
        refuse(address, bytes, kind, place);
    const bool power_of_two = (bytes & (bytes - 1)) == 0;
    if (power_of_two && (size_t)address % bytes)
        fault(at(place), text("misaligned %s of %u bytes at ", DOES[kind], bytes) + what_lies_at(address, kind != READ), *current);
    if (launch->watching == 2)
        count_access(address, bytes, kind, place, region->shared);
    if (!region->writable || (kind != READ && region->mixed && !variable_of(address, true)->writable)) {
        if (kind == READ)
            return;
        fault(at(place), text("%s through a const argument, ", DOES[kind]) + what_lies_at(address, false), *current);
        stop_launch();
    }
    const size_t offset = address - region->begin;
    if ((offset | bytes) & (region->grain() - 1))
        region->refine();
    const Access now = this_access(place);
    for (unsigned done = 0; done < bytes; done += region->grain())
        judge_cell(region->cells[(offset + done) >> region->shift], address + done, kind, now, region->shared);
    if (number_of_faults() >= MOST_FAULTS)
        stop_launch();
}

// ---- copies on their way ----

static void each_cell(const Copy& copy, void (*act)(Cell&))
{
    Region* region = region_of((char*)copy.to);
    if (!region || !region->shared)
        return;
    for (unsigned byte = 0; byte < copy.bytes; byte += region->grain())
        act(region->cells[((char*)copy.to + byte - region->begin) >> region->shift]);
}

void copy_begins(const Copy& copy, void* instruction)
{
    if (!launch->watching)
        return;
    if (copy.inside)
        machine_access(copy.from, copy.bytes, READ, instruction);
    machine_access(copy.to, copy.bytes, WRITE, instruction);
    each_cell(copy, [](Cell& cell) { cell.copying_thread = current->number + 1; });
}

// The number is written now, as far as other threads are concerned: a barrier must follow before they read it.
void copy_arrives(const Copy& copy)
{
    if (!launch->watching)
        return;
    each_cell(copy, [](Cell& cell) {
        cell.copying_thread = 0;
        cell.write = this_access(cell.write.place);
    });
}
