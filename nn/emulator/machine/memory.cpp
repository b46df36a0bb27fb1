// memory.cpp: arguments moved apart, and the names of what lies where.
#include "memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <map>

#include "launch.h"

std::vector<Region> regions;
std::vector<Variable> variables;

constexpr size_t ALIGNMENT = 256;   // that of memory from cudaMalloc

// ---- cells ----

static size_t bytes_of_cells(const Region& region)
{
    return (((region.end - region.begin) >> region.shift) + 2) * sizeof(Cell);
}

// Zeros that cost memory only where they are touched.
static Cell* new_cells(const Region& region)
{
    const int protection = PROT_READ | PROT_WRITE;
    void* cells = mmap(nullptr, bytes_of_cells(region), protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (cells == MAP_FAILED)
        abort();
    return (Cell*)cells;
}

void Cell::forget_reads()
{
    read.block = other_warp.block = other_block.block = 0;
    lanes = 0;
}

void Cell::forget()
{
    forget_reads();
    write.block = 0;
    copying_thread = 0;
}

void Region::refine()
{
    Region fine = *this;
    fine.shift = 0;
    fine.cells = new_cells(fine);
    for (ptrdiff_t byte = 0; byte < end - begin; byte++) {
        const Cell& coarse = cells[byte >> shift];
        if (coarse.write.block || coarse.read.block || coarse.copying_thread)
            fine.cells[byte] = coarse;
    }
    munmap(cells, bytes_of_cells(*this));
    *this = fine;
}

static void add_region(char* begin, char* end, bool shared, bool writable, bool mixed, unsigned grain)
{
    const unsigned shift = __builtin_ctz(grain);
    Region region{begin, end, shared, writable, mixed, shift, nullptr, {}};
    if (writable)
        region.cells = new_cells(region);
    regions.push_back(std::move(region));
}

void forget_regions()
{
    for (Region& region : regions)
        if (region.cells)
            munmap(region.cells, bytes_of_cells(region));
    regions.clear();
    variables.clear();
}

// ---- arguments ----

struct Argument {
    uint32_t slot;
    char role, type;            // see export.h
    char* home;                 // in the caller's memory
    char* copy;
    size_t bytes;
};

struct Span {                   // arguments that overlap, as one piece
    char* home;
    char* home_end;
    char* copy;
    bool writable, mixed;
    unsigned grain;
};

static std::vector<Argument> arguments;
static std::vector<Span> spans;
static char* arena;             // all 255 but for the copies: as float a NaN, as integer -1
static size_t arena_bytes;

static unsigned size_of_letter(char letter)
{
    return strchr("fiI", letter) ? 4 : strchr("dqQ", letter) ? 8 : strchr("hH", letter) ? 2 : 1;
}

static void find_arrays()
{
    arguments.clear();
    for (uint32_t slot = 0; slot < launch->parameters; slot++) {
        const char role = launch->signature[2 * slot], type = launch->signature[2 * slot + 1];
        if (role != 'n' && launch->slots[slot])
            arguments.push_back({slot, role, type, (char*)launch->slots[slot], nullptr, launch->slots[launch->parameters + slot]});
    }
}

// Arrays that share bytes become one span; sorted by address, each either joins the last span or begins a new one.
static void find_spans()
{
    spans.clear();
    std::sort(arguments.begin(), arguments.end(), [](const Argument& a, const Argument& b) { return a.home < b.home; });
    for (const Argument& array : arguments) {
        char* end = array.home + array.bytes;
        const bool writable = array.role == 'w';
        const unsigned grain = size_of_letter(array.type);
        if (spans.empty() || array.home >= spans.back().home_end) {
            spans.push_back({array.home, end, nullptr, writable, false, grain});
            continue;
        }
        Span& span = spans.back();
        span.home_end = std::max(span.home_end, end);
        span.mixed |= span.writable != writable;
        span.writable |= writable;
        span.grain = std::min(span.grain, grain);
    }
}

static size_t bytes_of(const Span& span)
{
    return span.home_end - span.home;
}

static void grow_arena()
{
    size_t needed = ZONE;
    for (const Span& span : spans)
        needed += bytes_of(span) + ZONE + 2 * ALIGNMENT;
    if (needed <= arena_bytes)
        return;
    free(arena);
    arena_bytes = needed + needed / 2;
    arena = (char*)malloc(arena_bytes);
    memset(arena, 0xff, arena_bytes);
}

void guard_arguments(uint64_t* slots)
{
    find_arrays();
    find_spans();
    grow_arena();
    char* next = arena + ZONE;
    for (Span& span : spans) {
        const size_t offset = (size_t)span.home % 16;  // a slice of an array stays as aligned as it is
        span.copy = (char*)(((size_t)next + ALIGNMENT - 1) & ~(ALIGNMENT - 1)) + offset;
        memcpy(span.copy, span.home, bytes_of(span));
        next = span.copy + bytes_of(span) + ZONE;
    }
    size_t i = 0;
    for (Argument& argument : arguments) {
        while (argument.home + argument.bytes > spans[i].home_end)
            i++;
        argument.copy = spans[i].copy + (argument.home - spans[i].home);
        slots[argument.slot] = (uint64_t)argument.copy;
    }
}

void fetch_arguments()
{
    for (const Argument& argument : arguments)
        if (argument.role == 'w')
            memcpy(argument.home, argument.copy, argument.bytes);
    for (const Span& span : spans)
        memset(span.copy, 0xff, bytes_of(span));
}

static std::string name_of_parameter(uint32_t slot)
{
    const char* name = launch->names;
    while (slot--)
        name = strchr(name, ',') + 1;
    return std::string(name, strcspn(name, ","));
}

void add_arguments()
{
    for (const Span& span : spans)
        add_region(span.copy, span.copy + bytes_of(span), false, span.writable, span.mixed, span.grain);
    for (const Argument& each : arguments)
        variables.push_back({name_of_parameter(each.slot), each.copy, each.copy + each.bytes, size_of_letter(each.type), each.role == 'w'});
}

// ---- shared memory ----

struct SharedVariable {
    std::string name;
    size_t offset, bytes;
    unsigned element;
};
static std::map<const char*, std::vector<SharedVariable>> declared;  // by library

// module.py has read them from the library's symbols.
extern "C" void machine_declare_shared(const char* library, const char* name, size_t offset, size_t bytes, unsigned element)
{
    declared[library].push_back({name, offset, bytes, element});
}

void add_shared_memory()
{
    const SharedMemory fixed = static_shared(), dynamic = dynamic_shared();
    add_region(fixed.begin, fixed.end, true, true, false, 4);
    std::vector<uint16_t>& owners = regions.back().owners;
    owners.resize(fixed.end - fixed.begin);
    uint16_t owner = 0;
    for (const SharedVariable& variable : declared[launch->library]) {
        if (variable.bytes == (size_t)-1) {  // `extern __shared__ float a[]`
            variables.push_back({variable.name, dynamic.begin, dynamic.end, variable.element, true});
            continue;
        }
        char* begin = fixed.begin + variable.offset;
        variables.push_back({variable.name, begin, begin + variable.bytes, variable.element, true});
        owner++;
        std::fill_n(owners.begin() + variable.offset, variable.bytes, owner);
    }
    add_region(dynamic.begin, dynamic.end, true, true, false, 4);
    variables.push_back({"dynamic shared memory", dynamic.begin, dynamic.end, 1, true});
}

// ---- what lies where ----

Region* region_of(const char* address)
{
    static size_t last;   // most accesses go where the one before went
    if (last < regions.size() && address >= regions[last].begin && address < regions[last].end)
        return &regions[last];
    for (size_t i = 0; i < regions.size(); i++)
        if (address >= regions[i].begin && address < regions[i].end) {
            last = i;
            return &regions[i];
        }
    return nullptr;
}

const Variable* variable_of(const char* address, bool write)
{
    const Variable* found = nullptr;
    for (const Variable& variable : variables)
        if (address >= variable.begin && address < variable.end && (!found || (write && !found->writable)))
            found = &variable;
    return found;
}

const Variable* nearest_variable(const char* address)
{
    const Variable* nearest = nullptr;
    ptrdiff_t least = ZONE;
    for (const Variable& variable : variables) {
        const ptrdiff_t distance = address < variable.begin ? variable.begin - address : address - variable.end;
        if (distance < least) {
            least = distance;
            nearest = &variable;
        }
    }
    return nearest;
}

std::string element_of(const Variable& variable, const char* address)
{
    const ptrdiff_t offset = address - variable.begin, size = variable.element;
    const ptrdiff_t index = offset >= 0 ? offset / size : -((size - 1 - offset) / size);
    std::string name = variable.name + "[" + std::to_string(index) + "]";
    if (offset - index * size)
        name += " (byte " + std::to_string(offset - index * size) + " of it)";
    if (address < variable.begin || address >= variable.end)
        name += " (it has " + std::to_string((variable.end - variable.begin) / size) + ")";
    return name;
}
