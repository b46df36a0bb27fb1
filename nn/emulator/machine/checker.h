// checker.h: judges every access of a watched kernel.
#pragma once
#include "scheduler.h"

void prepare_checker();                              // for a new launch
void forget_lane_sets();                             // at each barrier and block: they speak of one interval only
void order_lanes(const Thread* warp, unsigned mask); // __syncwarp(): what one lane of the mask did, all of them have now seen
void copy_begins(const Copy& copy, void* instruction);
void copy_arrives(const Copy& copy);
