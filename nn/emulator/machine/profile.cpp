// profile.cpp: how a kernel's accesses would fall on a GPU's memory.
//
// A warp makes an access as one: the 32 addresses of its lanes go out together.
//   Shared memory has 32 banks of 4 bytes; word k lies in bank k % 32. In one pass each bank serves one word, to as many lanes as want it.
//   Lanes that want different words of one bank take a pass each: a conflict. 8 bytes a lane go as two halves of the warp, 16 bytes as
//   four quarters, for a pass carries 128 bytes at most.
//   Global memory moves in sectors of 32 bytes. The fewest possible are as many as the different bytes wanted would fill.
// Which accesses belong together is told by counting: the n-th time that a lane comes to an instruction goes with the n-th of the others.
#include "profile.h"

#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "faults.h"
#include "scheduler.h"

// The addresses of a warp's lanes, as far as they have come.
struct Together {
    uint32_t lanes = 0;
    uintptr_t address[32];
};

struct Instruction {
    uint32_t place;
    int kind;
    bool shared;
    unsigned bytes;                                    // of one lane
    long times = 0, lanes = 0, moved = 0, least = 0;   // moved, least: passes or sectors
    uint32_t come[1024] = {};                          // how often each thread has come here in this block
    std::unordered_map<uint64_t, Together> open;       // by warp and count
};

static std::map<std::pair<uint32_t, int>, Instruction> instructions;
static std::map<std::pair<std::string, std::string>, long> events;

void prepare_profile()
{
    instructions.clear();
    events.clear();
}

static void count_passes(Instruction& instruction, const Together& access)
{
    const int lanes_a_pass = instruction.bytes <= 4 ? 32 : instruction.bytes == 8 ? 16 : 8;
    for (int first = 0; first < 32; first += lanes_a_pass) {
        std::set<uintptr_t> words;
        for (int lane = first; lane < first + lanes_a_pass; lane++)
            if (access.lanes >> lane & 1)
                for (unsigned byte = 0; byte < instruction.bytes; byte += 4)
                    words.insert((access.address[lane] + byte) / 4);
        if (words.empty())
            continue;
        long in_bank[32] = {}, most = 0;
        for (uintptr_t word : words) {
            in_bank[word % 32]++;
            if (in_bank[word % 32] > most)
                most = in_bank[word % 32];
        }
        instruction.moved += most;
        instruction.least++;
    }
}

static void count_sectors(Instruction& instruction, const Together& access)
{
    std::set<uintptr_t> bytes, sectors;
    for (int lane = 0; lane < 32; lane++)
        if (access.lanes >> lane & 1)
            for (unsigned byte = 0; byte < instruction.bytes; byte++) {
                bytes.insert(access.address[lane] + byte);
                sectors.insert((access.address[lane] + byte) / 32);
            }
    instruction.moved += sectors.size();
    instruction.least += (bytes.size() + 31) / 32;
}

static void settle(Instruction& instruction, const Together& access)
{
    instruction.times++;
    instruction.lanes += __builtin_popcount(access.lanes);
    if (instruction.shared)
        count_passes(instruction, access);
    else
        count_sectors(instruction, access);
}

void count_access(const char* address, unsigned bytes, int kind, uint32_t place, bool shared)
{
    Instruction& instruction = instructions[{place, kind * 2 + shared}];
    instruction.place = place;
    instruction.kind = kind;
    instruction.shared = shared;
    instruction.bytes = bytes;
    const uint32_t thread = current->number;
    const uint64_t key = (uint64_t)instruction.come[thread]++ << 5 | thread / 32;
    Together& access = instruction.open[key];
    access.lanes |= 1u << thread % 32;
    access.address[thread % 32] = (uintptr_t)address;
    if (access.lanes == ~0u) {
        settle(instruction, access);
        instruction.open.erase(key);
    }
}

void count_event(const char* file, int line, const char* what)
{
    if (launch->watching == 2)
        events[{at(file, line), what}]++;
}

void settle_profile()
{
    for (auto& [key, instruction] : instructions) {
        for (const auto& [number, access] : instruction.open)
            settle(instruction, access);
        instruction.open.clear();
        for (uint32_t& come : instruction.come)
            come = 0;
    }
}

// A line each, for profile.py: "access place kind memory bytes times lanes moved least" and "event file:line times what"
extern "C" const char* machine_profile()
{
    static std::string report;
    static const char* const KINDS[] = {"read", "write", "atomic"};
    report.clear();
    for (const auto& [key, it] : instructions)
        report += text("access @%x %s %s %u %ld %ld %ld %ld\n", it.place, KINDS[it.kind], it.shared ? "shared" : "global", it.bytes,
                       it.times, it.lanes, it.moved, it.least);
    for (const auto& [event, times] : events)
        report += "event " + event.first + " " + std::to_string(times) + " " + event.second + "\n";
    return report.c_str();
}
