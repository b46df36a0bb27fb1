// lines.cpp: how often a warp comes through a piece of code, and with how many of its lanes.
//
// One build of a kernel is made for this ("lines" in compiler.py): g++ puts a call at the start of each basic block, that is of code
// without a branch, and blocks.py knows the source lines of a block. Here each thread plays alone, so its way is written down, block by
// block, and when a warp's lanes have come to a barrier or to their end, their ways are laid side by side and walked again together:
//   lanes that stand at the same block go through it as one;
//   of lanes that have parted, those deepest in calls go first, then those that stand first in the code; the others wait;
//   a lane that has jumped back to the head of a loop waits for those that are still within it: it counts as behind the loop's last block.
// Unoptimised code lies in the order of the source, so lanes meet again where a GPU lets them: behind an if, at the next turn of a loop,
// and behind the loop when the last of them has left it.
#include "lines.h"

#include <algorithm>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "faults.h"
#include "scheduler.h"

struct Step {
    uint32_t place;   // of the block, as offset in the library
    uint32_t depth;   // bytes of stack since the thread began: more within a call
    bool back;        // this was a jump backwards, to the head of a loop
    uint32_t waits;   // where the lane waits before this step: at the block, or behind the loop that it goes through again
};

struct Way {
    uint32_t block = 0;      // block_number of the thread that goes it
    const char* top;         // where its stack began
    std::vector<Step> steps; // since the last barrier
    size_t walked = 0;       // how many of them have been walked again, beside those of the warp's other lanes
    std::vector<Step> calls; // the last step in each of the functions that it is in

    const Step* next() const { return walked < steps.size() ? &steps[walked] : nullptr; }
};

struct Runs {
    long warps = 0, lanes = 0;
};

static std::vector<Way> ways;                         // by thread
static std::unordered_map<uint32_t, Runs> runs;       // by place
static std::map<uint32_t, uint32_t> loops;            // the place of the head of each, and of its last block
static uint32_t walked_block, walked_interval;        // to which the steps belong
static uint32_t begun_warp;                           // that of the thread that began last

static bool goes_before(const Step& one, const Step& other)
{
    if (one.depth != other.depth)
        return one.depth > other.depth;
    if (one.waits != other.waits)
        return one.waits < other.waits;
    if (one.back != other.back)
        return other.back;
    return one.place > other.place;  // two loops end here: the inner one, which begins later, goes on first
}

static bool same(const Step& one, const Step& other)
{
    return one.depth == other.depth && one.place == other.place && one.back == other.back;
}

// Of the lanes' next steps the one that is to be made now; null at the end of all ways.
static const Step* chosen(const Way* begin, const Way* end)
{
    const Step* best = nullptr;
    for (const Way* lane = begin; lane < end; lane++)
        if (const Step* next = lane->next(); next && (!best || goes_before(*next, *best)))
            best = next;
    return best;
}

static void walk_together(uint32_t warp)
{
    Way* const begin = &ways[warp * 32];
    Way* const end = &ways[0] + std::min<size_t>(warp * 32 + 32, ways.size());
    for (Way* lane = begin; lane < end; lane++)
        for (Step& step : lane->steps)
            if (step.back)
                step.waits = loops[step.place];
    while (const Step* step = chosen(begin, end)) {
        Runs& block = runs[step->place];
        block.warps++;
        for (Way* lane = begin; lane < end; lane++)
            if (const Step* next = lane->next(); next && same(*next, *step)) {
                lane->walked++;
                block.lanes++;
            }
    }
    for (Way* lane = begin; lane < end; lane++) {
        lane->steps.clear();
        lane->walked = 0;
    }
}

static void walk_all()
{
    for (uint32_t warp = 0; warp * 32 < ways.size(); warp++)
        walk_together(warp);
}

static bool has_returned(uint32_t warp)
{
    for (size_t thread = warp * 32; thread < warp * 32 + 32 && thread < threads.size(); thread++)
        if (threads[thread].state != State::DONE)
            return false;
    return true;
}

// A thread begins. If another warp began before it and is over, its ways need not be kept any longer.
static void begin(Way& way, const char* frame)
{
    const uint32_t warp = current->number / 32;
    if (warp != begun_warp && has_returned(begun_warp))
        walk_together(begun_warp);
    begun_warp = warp;
    way.block = block_number;
    way.top = frame;
    way.calls.clear();
}

// A lane jumps back from `last` to `head`. The last block of a loop may be one of a loop within it, where the outer one goes on from its
// middle, by a `break`.
static void learn_loop(uint32_t head, uint32_t last)
{
    if (loops[head] >= last)
        return;
    loops[head] = last;
    for (auto outer = loops.rbegin(); outer != loops.rend(); ++outer)
        for (auto inner = loops.upper_bound(outer->first); inner != loops.end() && inner->first <= outer->second; ++inner)
            outer->second = std::max(outer->second, inner->second);
}

// The step to a block: is it one backwards? Functions that were deeper in calls have returned.
static Step step_to(Way& way, uint32_t place, uint32_t depth)
{
    while (!way.calls.empty() && way.calls.back().depth > depth)
        way.calls.pop_back();
    if (way.calls.empty() || way.calls.back().depth < depth) {
        way.calls.push_back({place, depth, false, place});
        return way.calls.back();
    }
    Step& before = way.calls.back();
    const bool back = place <= before.place;
    if (back)
        learn_loop(place, before.place);
    before = {place, depth, back, place};
    return before;
}

void count_block(uint32_t place, const char* frame)
{
    if (walked_block != block_number || walked_interval != interval) {  // all have come to the block's end, or to a barrier
        walk_all();
        if (walked_block != block_number)
            begun_warp = current->number / 32;
        ways.resize(threads.size());
        walked_block = block_number;
        walked_interval = interval;
    }
    Way& way = ways[current->number];
    if (way.block != block_number)
        begin(way, frame);
    way.steps.push_back(step_to(way, place, (uint32_t)(way.top - frame)));
}

// What was counted since it was last asked, a line each, for profile.py: "place warps lanes"
extern "C" const char* machine_lines()
{
    static std::string report;
    report.clear();
    walk_all();
    for (const auto& [place, block] : runs)
        report += text("%x %ld %ld\n", place, block.warps, block.lanes);
    runs.clear();
    loops.clear();
    return report.c_str();
}
