// lines.h: how often a warp comes through a piece of code, and with how many of its lanes.
#pragma once
#include <stdint.h>

void count_block(uint32_t place, const char* frame);  // the current thread enters a basic block; frame: how far its stack has grown
extern "C" const char* machine_lines();
