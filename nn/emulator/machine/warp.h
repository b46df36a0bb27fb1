// warp.h: shuffles and votes. Each lane puts down what it brings and waits; the last lane to come serves them all (machine_warp).
#pragma once

namespace warp {

// The name of an operation is the address of one of these: two operations on one source line are told apart by it.
inline char indexed, up, down, crossed, vote, fence, matched;

template <class T>
struct Shuffle {
    T brought;
    int from;          // the lane whose number this lane wants
    T got;

    UNWATCHED static void join(void** payloads, unsigned mask, const char* file, int line)
    {
        for (int lane = 0; lane < 32; lane++) {
            if (!(mask >> lane & 1))
                continue;
            Shuffle* mine = (Shuffle*)payloads[lane];
            if (mask >> mine->from & 1)
                mine->got = ((Shuffle*)payloads[mine->from])->brought;
            else
                machine_fault(file, line, "divergent shuffle: lane %d reads lane %d, which takes no part (mask %08x)", lane, mine->from, mask);
        }
    }
};

template <class T>
inline T shuffle(unsigned mask, T brought, int from, const void* kind, const char* file, int line)
{
    Shuffle<T> payload{brought, from, brought};
    machine_warp(mask, kind, &payload, &Shuffle<T>::join, false, file, line);
    return payload.got;
}

// Within segments of `width` lanes: a lane that would look outside its segment keeps its own number.
inline int within(int from, int lane, int width)
{
    return from >= 0 && from < 32 && from / width == lane / width ? from : lane;
}

template <class T>
inline T shuffle_indexed(unsigned mask, T brought, int index, int width, const char* file, int line)
{
    const int lane = (int)machine_lane();
    return shuffle(mask, brought, lane / width * width + (index & (width - 1)), &indexed, file, line);
}

template <class T>
inline T shuffle_up(unsigned mask, T brought, int apart, int width, const char* file, int line)
{
    const int lane = (int)machine_lane();
    return shuffle(mask, brought, within(lane - apart, lane, width), &up, file, line);
}

template <class T>
inline T shuffle_down(unsigned mask, T brought, int apart, int width, const char* file, int line)
{
    const int lane = (int)machine_lane();
    return shuffle(mask, brought, within(lane + apart, lane, width), &down, file, line);
}

template <class T>
inline T shuffle_crossed(unsigned mask, T brought, int bits, int width, const char* file, int line)
{
    const int lane = (int)machine_lane();
    return shuffle(mask, brought, within(lane ^ bits, lane, width), &crossed, file, line);
}

struct Vote {
    unsigned brought;  // true or false
    unsigned mask;     // the lanes that took part
    unsigned got;      // a bit for each lane that brought true

    UNWATCHED static void join(void** payloads, unsigned mask, const char*, int)
    {
        unsigned ballot = 0;
        for (int lane = 0; lane < 32; lane++)
            if (mask >> lane & 1 && ((Vote*)payloads[lane])->brought)
                ballot |= 1u << lane;
        for (int lane = 0; lane < 32; lane++)
            if (mask >> lane & 1) {
                ((Vote*)payloads[lane])->mask = mask;
                ((Vote*)payloads[lane])->got = ballot;
            }
    }
};

inline Vote voted(unsigned mask, bool brought, const void* kind, const char* file, int line)
{
    Vote payload{brought, 0, 0};
    machine_warp(mask, kind, &payload, &Vote::join, kind == &fence, file, line);
    return payload;
}

inline bool all(unsigned mask, bool brought, const char* file, int line)
{
    const Vote result = voted(mask, brought, &vote, file, line);
    return result.got == result.mask;
}

}  // namespace warp

#define FIRST_OF(first, ...) first
#define WITH_WIDTH(mask, value, lane, width, ...) mask, value, lane, width  // width is 32 where it is not given
#define __shfl_sync(...) warp::shuffle_indexed(WITH_WIDTH(__VA_ARGS__, 32, 0), __FILE__, __LINE__)
#define __shfl_up_sync(...) warp::shuffle_up(WITH_WIDTH(__VA_ARGS__, 32, 0), __FILE__, __LINE__)
#define __shfl_down_sync(...) warp::shuffle_down(WITH_WIDTH(__VA_ARGS__, 32, 0), __FILE__, __LINE__)
#define __shfl_xor_sync(...) warp::shuffle_crossed(WITH_WIDTH(__VA_ARGS__, 32, 0), __FILE__, __LINE__)
#define __ballot_sync(mask, value) (warp::voted(mask, (value) != 0, &warp::vote, __FILE__, __LINE__).got)
#define __any_sync(mask, value) (warp::voted(mask, (value) != 0, &warp::vote, __FILE__, __LINE__).got != 0)
#define __all_sync(mask, value) warp::all(mask, (value) != 0, __FILE__, __LINE__)
#define __syncwarp(...) ((void)warp::voted(FIRST_OF(__VA_ARGS__ __VA_OPT__(,) 0xffffffffu, 0), true, &warp::fence, __FILE__, __LINE__))
#define __activemask() machine_live_lanes()
