// launch.cpp: from a grid to blocks; the shared memory of a block; and what happens when a kernel does what the processor itself refuses.
#include "launch.h"

#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <map>
#include <utility>

#include "checker.h"
#include "faults.h"
#include "memory.h"
#include "profile.h"

// ---- where things lie ----

struct Image {              // a library in memory
    char *begin, *end;
    char *shared_begin, *shared_end;   // its thread_local variables: those that a .cu file calls __shared__
};

// The loader knows the pieces of every library; those of the one that begins at `library`.
static Image image_of(const char* library)
{
    std::pair<const char*, Image> wanted{library, {}};
    dl_iterate_phdr(
        [](dl_phdr_info* info, size_t, void* data) -> int {
            auto& [library, image] = *(std::pair<const char*, Image>*)data;
            const char *begin = nullptr, *end = nullptr;
            for (int i = 0; i < info->dlpi_phnum; i++) {
                const ElfW(Phdr)& piece = info->dlpi_phdr[i];
                const char* at = (const char*)info->dlpi_addr + piece.p_vaddr;
                if (piece.p_type == PT_LOAD) {
                    begin = begin && begin < at ? begin : at;
                    end = end > at + piece.p_memsz ? end : at + piece.p_memsz;
                }
                if (piece.p_type == PT_TLS && info->dlpi_tls_data) {
                    image.shared_begin = (char*)info->dlpi_tls_data;
                    image.shared_end = image.shared_begin + piece.p_memsz;
                }
            }
            const bool found = library >= begin && library < end;
            image.begin = (char*)begin;
            image.end = (char*)end;
            if (!found)
                image = {};
            return found;
        },
        &wanted);
    return wanted.second;
}

static Image kernel_image, machine_image;

static void find_library()
{
    static std::map<std::pair<const char*, char*>, Image> found;  // the shared memory is another one in every thread of the system
    const auto key = std::make_pair(launch->library, launch->shared());
    if (!found.count(key))
        found[key] = image_of(launch->library);
    if (!found[key].shared_begin) {
        fputs("the loader does not tell where shared memory lies: see native() in compiler.py\n", stderr);
        abort();
    }
    kernel_image = found[key];
    if (!machine_image.begin)
        machine_image = image_of((const char*)&blockIdx);
}

static bool within(const void* address, const Image& image)
{
    return (const char*)address >= image.begin && (const char*)address < image.end;
}

bool belongs_to_code(const void* address)
{
    return within(address, kernel_image) || within(address, machine_image);
}

SharedMemory static_shared()
{
    return {kernel_image.shared_begin, kernel_image.shared_end};
}

// Always at one place, with a zone around it that takes up what a kernel writes outside.
static char* dynamic_memory;
constexpr size_t MOST_DYNAMIC = 227 << 10;

SharedMemory dynamic_shared()
{
    if (!dynamic_memory)
        dynamic_memory = (char*)aligned_alloc(1024, (MOST_DYNAMIC + 2 * ZONE + 1023) / 1024 * 1024) + ZONE;
    return {dynamic_memory, dynamic_memory + (launch ? launch->shared_bytes : 0)};
}

extern "C" void* machine_dynamic_shared()
{
    return dynamic_shared().begin;
}

// ---- what the processor refuses: shown as a fault of the kernel, not as the end of the program ----

constexpr int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
static struct sigaction others[4];
static stack_t others_stack;

static uint32_t place_of(void* context)
{
    const ucontext_t* registers = (const ucontext_t*)context;
#if defined(__x86_64__)
    const char* instruction = (const char*)registers->uc_mcontext.gregs[REG_RIP];
#else
    const char* instruction = (const char*)registers->uc_mcontext.pc;
#endif
    return within(instruction, kernel_image) ? instruction - kernel_image.begin : 0;
}

static void refused(int signal, siginfo_t* info, void* context)
{
    if (!current) {  // not in a kernel: whoever was there before shall have it
        for (int i = 0; i < 4; i++)
            sigaction(SIGNALS[i], &others[i], nullptr);
        return;
    }
    std::string what = "an instruction that the processor refuses";
    if (signal == SIGFPE)
        what = "division by zero";
    else if (is_guard_page(info->si_addr))
        what = text("stack overflow: the variables of a thread need more than %zu KB", STACK_BYTES >> 10);
    else if (signal == SIGSEGV && info->si_code == SI_KERNEL)  // the processor does not tell the address
        what = "out-of-bounds or misaligned access; mode(check=True) names the variable";
    else if (signal != SIGILL)
        what = text("out-of-bounds access to address %p; mode(check=True) names the variable", info->si_addr);
    fault(at(place_of(context)), what, *current);
    stop_launch();
}

static void catch_signals()
{
    static char stack_of_handler[64 << 10];
    stack_t stack = {};
    stack.ss_sp = stack_of_handler;
    stack.ss_size = sizeof stack_of_handler;
    sigaltstack(&stack, &others_stack);
    struct sigaction ours = {};
    ours.sa_sigaction = refused;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;  // the handler never returns
    for (int i = 0; i < 4; i++)
        sigaction(SIGNALS[i], &ours, &others[i]);
}

static void leave_signals()
{
    for (int i = 0; i < 4; i++)
        sigaction(SIGNALS[i], &others[i], nullptr);
    sigaltstack(&others_stack, nullptr);
}

// ---- the launch ----

static std::vector<uint32_t> block_order;   // filled for the shuffled order only
static uint32_t blocks_before;              // block_number before this launch

static uint32_t place_in_grid(uint32_t turn)
{
    const uint32_t count = launch->grid[0] * launch->grid[1] * launch->grid[2];
    if (launch->order == Order::SHUFFLED)
        return block_order[turn];
    return launch->order == Order::REVERSE ? count - 1 - turn : turn;
}

static uint3 block_at(uint32_t place)
{
    const uint32_t* grid = launch->grid;
    return {place % grid[0], place / grid[0] % grid[1], place / grid[0] / grid[1]};
}

uint3 block_of_number(uint32_t number)
{
    return block_at(place_in_grid(number - blocks_before - 1));
}

// Shared memory holds what the block before left there, on a GPU: nothing to rely on. Here every byte is 255, a NaN.
static void spoil(const SharedMemory& memory)
{
    memset(memory.begin, 0xff, memory.end - memory.begin);
}

static void run_blocks()
{
    const uint32_t count = launch->grid[0] * launch->grid[1] * launch->grid[2];
    if (launch->order == Order::SHUFFLED) {
        block_order.resize(count);
        for (uint32_t i = 0; i < count; i++)
            block_order[i] = i;
        shuffle(block_order);
    }
    blocks_before = block_number;
    for (uint32_t turn = 0; turn < count; turn++) {
        blockIdx = block_at(place_in_grid(turn));
        spoil(static_shared());
        spoil(dynamic_shared());
        if (!run_block() || number_of_faults() >= MOST_FAULTS)
            break;
        if (launch->watching == 2)
            settle_profile();
    }
}

// Runs a kernel; the number of its faults. The launch is Python's to fill in, and the machine's to change.
extern "C" int machine_launch(Launch* wanted)
{
    forget_faults();
    launch = wanted;
    gridDim = {wanted->grid[0], wanted->grid[1], wanted->grid[2]};
    blockDim = {wanted->block[0], wanted->block[1], wanted->block[2]};
    find_library();
    seed_shuffles(wanted->seed);
    prepare_threads();
    guard_arguments(wanted->slots);
    if (wanted->watching) {
        prepare_checker();
        prepare_profile();
        add_arguments();
        add_shared_memory();
    }
    catch_signals();
    run_blocks();
    leave_signals();
    current = nullptr;
    fetch_arguments();
    forget_regions();
    launch = nullptr;
    fflush(stdout);   // of printf in kernels
    return number_of_faults();
}
