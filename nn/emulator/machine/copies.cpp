// copies.cpp: cp.async, the copy from global to shared memory that arrives while the thread goes on.
//
// A GPU may let a copy arrive at any moment between its start and the wait for its group. Here it arrives as late as it may, in the wait,
// or with mode(copies="early") at once: a kernel that waits too little gives a wrong result in the one, a kernel that fills a stage which
// is still being read in the other.
#include <string.h>

#include "checker.h"
#include "faults.h"
#include "launch.h"

static void carry_out(const Copy& copy)
{
    if (copy.inside)
        memcpy(copy.to, copy.from, copy.bytes);
    else
        memset(copy.to, 0, copy.bytes);
}

static bool in_shared(const void* address)
{
    const SharedMemory fixed = static_shared(), dynamic = dynamic_shared();
    const char* byte = (const char*)address;
    return (byte >= fixed.begin && byte < fixed.end) || (byte >= dynamic.begin && byte < dynamic.end);
}

extern "C" void machine_copy(void* to, const void* from, unsigned bytes, bool inside, void* instruction)
{
    const uint32_t place = (const char*)instruction - launch->library - 1;
    if ((size_t)to % bytes || (inside && (size_t)from % bytes)) {
        fault(at(place), text("misaligned cp.async: both addresses must be multiples of %u bytes", bytes), *current);
        stop_launch();
    }
    const Copy copy{to, from, bytes, inside, current->group};
    copy_begins(copy, instruction);
    if (!in_shared(to)) {
        fault(at(place), "out-of-bounds cp.async: it can write to shared memory only", *current);
        stop_launch();
    }
    if (launch->early_copies) {
        carry_out(copy);
    } else {
        memset(to, 0xff, bytes);  // NaN: who reads too early shall notice
    }
    current->copies.push_back(copy);
}

extern "C" void machine_copy_commit()
{
    current->group++;
}

extern "C" void machine_copy_wait(int pending)
{
    size_t kept = 0;
    for (const Copy& copy : current->copies) {
        if (copy.group >= current->group - pending) {
            current->copies[kept++] = copy;
            continue;
        }
        if (!launch->early_copies)
            carry_out(copy);
        copy_arrives(copy);
    }
    current->copies.resize(kept);
}
