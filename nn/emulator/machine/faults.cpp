// faults.cpp: collects faults. The same fault at the same place is told once, and not more than a handful of them.
#include "faults.h"

#include <stdarg.h>
#include <stdio.h>

#include <set>

#include "launch.h"

static std::string report;
static std::set<std::string> told;


std::string text(const char* format, ...)
{
    char buffer[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(buffer, sizeof buffer, format, arguments);
    va_end(arguments);
    return buffer;
}

std::string at(const char* file, int line)
{
    return text("%s:%d", file, line);
}

std::string at(uint32_t place)
{
    return text("@%x", place);
}

static std::string named(const uint3& thread, const uint3& block)
{
    return text("thread (%u,%u,%u) of block (%u,%u,%u)", thread.x, thread.y, thread.z, block.x, block.y, block.z);
}

std::string named(const Thread& thread)
{
    return named(thread.index, blockIdx);
}

std::string named(uint32_t thread, uint32_t block)
{
    return named(threads[thread].index, block_of_number(block));
}

void fault(const std::string& where, const std::string& what, const Thread& thread)
{
    const std::string kind = where + what.substr(0, what.find_first_of(":,["));
    if (!told.insert(kind).second || told.size() > MOST_FAULTS)
        return;
    report += "  " + where + ": " + what + "; " + named(thread) + "\n";
}

int number_of_faults()
{
    return (int)told.size();
}

void forget_faults()
{
    report.clear();
    told.clear();
}

extern "C" const char* machine_faults()
{
    return report.c_str();
}

extern "C" void machine_fault(const char* file, int line, const char* format, ...)
{
    char buffer[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(buffer, sizeof buffer, format, arguments);
    va_end(arguments);
    fault(at(file, line), buffer, *current);
}
