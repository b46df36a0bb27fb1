// faults.h: what a kernel did wrong, a line each; faults.py puts source lines in place of the addresses.
#pragma once
#include <stdint.h>

#include <string>

#include "scheduler.h"

std::string text(const char* format, ...) __attribute__((format(printf, 1, 2)));
std::string at(const char* file, int line);
std::string at(uint32_t place);               // an instruction, by its offset in the library: written @1f3a
std::string named(const Thread& thread);
std::string named(uint32_t thread, uint32_t block);  // block: its block_number

void fault(const std::string& where, const std::string& what, const Thread& thread);
constexpr int MOST_FAULTS = 8;   // then the launch is stopped
int number_of_faults();
void forget_faults();
extern "C" const char* machine_faults();
