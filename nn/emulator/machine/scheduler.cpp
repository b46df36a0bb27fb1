// scheduler.cpp: a block of CUDA threads on one thread of the operating system.
//
// On a GPU the threads of a block run at once; here one runs until it must wait for others, at a barrier or in a warp operation, and then
// the next one runs. Any such order is one that a GPU might show as well, so a correct kernel gives the same result in each of them;
// "forward" goes by thread number, "reverse" from the last, "shuffled" anew in every interval between two barriers.
//
//   A pass:     every thread that can run does, in order. At its end, when all who are left wait at the barrier, the barrier opens.
//               When none has run and the barrier cannot open, they wait for each other for ever: a deadlock, which a GPU would
//               show as a hang.
//   Fibres:     a thread needs a stack of its own only from the moment it waits. One that never does runs on the stack of the one
//               before it, so a kernel without barriers costs a function call a thread, and no switch.
#include "scheduler.h"

#include <string.h>

#include <utility>

#include "checker.h"
#include "faults.h"
#include "profile.h"

const Launch* launch;
Thread* current;
std::vector<Thread> threads;
uint32_t block_number;
uint32_t interval;

extern "C" {
uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;
}

static std::vector<uint32_t> order;   // thread numbers, in the order of this interval
static size_t position;               // in it
static bool progress;                 // some thread has run in this pass
static int running;                   // threads that have not returned
static int waiting;                   // of these, at the barrier
static unsigned in_warp_operation[32];  // for each warp the lanes that wait in one
static int votes, last_votes;         // true ones brought to the barrier
static void* launcher;                // where run_block stopped, on the stack of the caller
static std::vector<Fibre*> idle;      // fibres that no thread needs
static bool idle_are_whole;           // false: a launch was stopped midway, so every fibre must begin anew

static uint64_t random_state;

void seed_shuffles(uint32_t seed)
{
    random_state = seed * 0x9E3779B97F4A7C15ull + 88172645463325252ull;
}

// xorshift, and the shuffle of Fisher and Yates
void shuffle(std::vector<uint32_t>& numbers)
{
    for (size_t last = numbers.size(); last > 1; last--) {
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        std::swap(numbers[last - 1], numbers[(random_state >> 11) % last]);
    }
}

void prepare_threads()
{
    const uint32_t* size = launch->block;
    const size_t count = size[0] * size[1] * size[2];
    static uint32_t prepared[3];
    if (threads.size() != count || memcmp(prepared, size, sizeof prepared)) {
        memcpy(prepared, size, sizeof prepared);
        threads.clear();
        threads.resize(count);
        for (uint32_t number = 0; number < count; number++) {
            threads[number].number = number;
            threads[number].index = {number % size[0], number / size[0] % size[1], number / size[0] / size[1]};
        }
    }
    order.resize(count);
    for (uint32_t number = 0; number < count; number++)
        order[number] = launch->order == Order::REVERSE ? count - 1 - number : number;
}

// ---- the barrier ----

static bool open_barrier()
{
    const Thread* first = nullptr;
    for (Thread& thread : threads) {
        if (thread.state != State::AT_BARRIER)
            continue;
        if (!first)
            first = &thread;
        if (thread.line != first->line || strcmp(thread.file, first->file)) {
            fault(at(thread.file, thread.line), "divergent __syncthreads(): this thread waits here, " + named(*first) + " at "
                  + at(first->file, first->line), thread);
            return false;
        }
    }
    if (running < (int)threads.size()) {
        fault(at(first->file, first->line), text("divergent __syncthreads(): reached by %d of %zu threads, the others have returned",
              running, threads.size()), *first);
        return false;
    }
    for (Thread& thread : threads)
        thread.state = State::READY;
    waiting = 0;
    last_votes = votes;
    votes = 0;
    interval++;
    forget_lane_sets();
    count_event(first->file, first->line, "barrier");
    if (launch->order == Order::SHUFFLED)
        shuffle(order);
    return true;
}

static void report_deadlock()
{
    for (Thread& thread : threads) {
        if (thread.state != State::IN_WARP)
            continue;
        const int first = thread.number & ~31;
        std::string missing;
        for (int lane = 0; lane < 32 && first + lane < (int)threads.size(); lane++) {
            const Thread& other = threads[first + lane];
            if (!(thread.mask >> lane & 1) || (other.state == State::IN_WARP && other.mask == thread.mask))
                continue;
            if (other.state == State::DONE)
                missing = text("lane %d, which has returned", lane);
            else
                missing = text("lane %d, which waits at ", lane) + at(other.file, other.line);
            if (other.state == State::IN_WARP)
                missing += text(" with mask %08x", other.mask);
            break;
        }
        fault(at(thread.file, thread.line), text("deadlock: divergent warp operation with mask %08x waits for ", thread.mask) + missing, thread);
        return;
    }
}

// ---- which thread is next ----

static Thread* next_thread()
{
    for (;;) {
        while (position < order.size()) {
            Thread* thread = &threads[order[position++]];
            if (thread->state <= State::READY) {
                progress = true;
                return thread;
            }
        }
        if (running == 0)
            return nullptr;
        if (waiting == running) {
            if (!open_barrier())
                return nullptr;
        } else if (!progress) {
            report_deadlock();
            return nullptr;
        }
        position = 0;
        progress = false;
    }
}

static void make_current(Thread* thread)
{
    current = thread;
    threadIdx = thread->index;
}

static Fibre* on_fibre;  // the one whose stack is in use

static void body_of_fibre();

static Fibre* taken_from_idle()
{
    Fibre* fibre = idle.back();
    idle.pop_back();
    return fibre;
}

// Runs threads one after the other for as long as none has to wait.
static void body_of_fibre()
{
    for (;;) {
        launch->call(launch->slots);
        current->state = State::DONE;
        running--;
        Thread* next = next_thread();
        if (next && next->state == State::NEW) {
            make_current(next);
            next->state = State::READY;
            continue;
        }
        Fibre* mine = on_fibre;
        idle.push_back(mine);
        if (next) {
            make_current(next);
            on_fibre = next->fibre;
            fibre_switch(&mine->stack_pointer, on_fibre->stack_pointer);
        } else {
            fibre_switch(&mine->stack_pointer, launcher);
        }
        // Here it goes on when it is taken from the idle ones, for a new thread that has been made current.
    }
}

// The current thread waits; the next one runs. Returns when the current one may go on.
static void wait_for_others()
{
    Thread* mine = current;
    Thread* next = next_thread();
    if (next == mine)
        return;
    mine->fibre = on_fibre;
    if (!next)
        fibre_switch(&mine->fibre->stack_pointer, launcher);  // and never back: the launch has failed
    make_current(next);
    if (next->state == State::NEW) {
        next->state = State::READY;
        on_fibre = taken_from_idle();
    } else {
        on_fibre = next->fibre;
    }
    fibre_switch(&mine->fibre->stack_pointer, on_fibre->stack_pointer);
}

void stop_launch()
{
    idle_are_whole = false;
    void* never_resumed;
    fibre_switch(&never_resumed, launcher);
    __builtin_unreachable();
}

bool run_block()
{
    if (!idle_are_whole || idle.size() < threads.size()) {
        idle.clear();
        for (int number = (int)threads.size() - 1; number >= 0; number--) {
            Fibre* fibre = fibre_number(number);
            fibre_begin(fibre, body_of_fibre);
            idle.push_back(fibre);
        }
    }
    for (Thread& thread : threads) {
        thread.state = State::NEW;
        thread.group = 0;
        thread.copies.clear();
    }
    memset(in_warp_operation, 0, sizeof in_warp_operation);
    running = (int)threads.size();
    waiting = votes = 0;
    position = 0;
    interval = 1;
    block_number++;
    forget_lane_sets();
    if (launch->order == Order::SHUFFLED)
        shuffle(order);
    idle_are_whole = false;  // until the block has come to its end
    make_current(next_thread());
    current->state = State::READY;
    on_fibre = taken_from_idle();
    fibre_switch(&launcher, on_fibre->stack_pointer);
    current = nullptr;
    idle_are_whole = running == 0;
    return idle_are_whole;
}

// ---- what kernels call ----

extern "C" int machine_barrier(bool vote, const char* file, int line)
{
    current->state = State::AT_BARRIER;
    current->file = file;
    current->line = line;
    waiting++;
    votes += vote;
    wait_for_others();
    return last_votes;
}

extern "C" unsigned machine_lane()
{
    return current->number & 31;
}

extern "C" unsigned machine_live_lanes()
{
    const int first = current->number & ~31;
    unsigned mask = 0;
    for (int lane = 0; lane < 32 && first + lane < (int)threads.size(); lane++)
        if (threads[first + lane].state != State::DONE)
            mask |= 1u << lane;
    return mask;
}

extern "C" void machine_warp(unsigned mask, const void* kind, void* payload, WarpJoin join, bool fence, const char* file, int line)
{
    const int lane = current->number & 31;
    Thread* warp = &threads[current->number - lane];
    const int lanes = threads.size() - (warp - threads.data());
    if (lanes < 32)
        mask &= (1u << lanes) - 1;  // the last warp of the block is not full
    if (!(mask >> lane & 1)) {
        fault(at(file, line), text("divergent warp operation: lane %d calls it, but its mask %08x leaves it out", lane, mask), *current);
        return;
    }
    current->state = State::IN_WARP;
    current->file = file;
    current->line = line;
    current->mask = mask;
    current->kind = kind;
    current->payload = payload;
    unsigned& lanes_waiting = in_warp_operation[current->number / 32];
    lanes_waiting |= 1u << lane;
    if (mask & ~lanes_waiting) {  // the quick answer: somebody is still missing
        wait_for_others();
        return;
    }
    void* payloads[32];
    for (int other = 0; other < 32; other++) {
        if (!(mask >> other & 1))
            continue;
        const Thread& thread = warp[other];
        if (thread.mask != mask) {
            wait_for_others();
            return;
        }
        payloads[other] = thread.payload;
        if (thread.kind != kind || thread.line != line) {
            fault(at(file, line), text("divergent warp operation: lane %d waits here, lane %d at ", lane, other)
                  + at(thread.file, thread.line), *current);
            stop_launch();
        }
    }
    join(payloads, mask, file, line);
    count_event(file, line, "warp operation");
    if (fence)
        order_lanes(warp, mask);
    lanes_waiting &= ~mask;
    for (int other = 0; other < 32; other++)
        if (mask >> other & 1)
            warp[other].state = State::READY;
}
