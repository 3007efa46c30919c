/* All maps, and lookups in them. */
#pragma once

#include "budget.h"
#include "flow.h"
#include "layout.h"
#include "packet.h"
#include "program.h"

#define GENERATIONS 2
#define IDS 65536
#define FLOWS 524288 /* 4 MB; more than a busy edge forwards concurrently */
#define ARRIVALS 131072
#define SOURCES 65536
#define HOPS 256 /* per CPU: next hops cached concurrently */

ARRAY_MAP(config_map, struct config, 1);
MAPPED_ARRAY_MAP(live_map, struct live, 1);
HASH_MAP(outsides, __u32, __u32, 64);

/* A generation is written to the inactive slot; storing live.slot then activates it. All edges are in one map: a lookup in
 * a map of maps is a function call (8 ns with return thunks). */
MAPPED_ARRAY_MAP(edges, struct edge, GENERATIONS * IDS);
ARRAY_OF_HASHES(tunnels, struct address, __u32, GENERATIONS);
ARRAY_OF_HASHES(vips, struct vip_key, struct vip, GENERATIONS);
ARRAY_OF_ARRAYS(rings, struct bucket, BUCKETS, GENERATIONS);
ARRAY_MAP(first_vips, struct first_vip, GENERATIONS);

PERCPU_ARRAY_MAP(counters, struct counter, HOOKS * REASONS);
PERCPU_ARRAY_MAP(edge_counters, struct edge_counter, IDS);
RING_BUFFER(captures, 64);

ARRAY_MAP(answer_budget, __u64, 1);
ARRAY_MAP(source_budgets, __u64, SOURCES);
ARRAY_MAP(owner_budgets, struct owner_budget, IDS);
PERCPU_ARRAY_MAP(quiet_budgets, struct quiet, IDS);
/* Flows that their owner has answered, and the edge by which flows arrive: direct-mapped, a newer flow replaces an older. */
ARRAY_MAP(admitted, __u32, FLOWS);
ARRAY_MAP(arrivals, struct arrival, ARRIVALS);

PERCPU_ARRAY_MAP(hops, struct hop, HOPS);

/* The node's configuration and live words as one decision reads them. */
struct node {
    struct config *config;
    struct live *live;
    __u32 slot;
};

/* Return -1 before the first `load` is complete. */
static __always_inline int load_node(struct node *node)
{
    int key = 0;
    node->config = bpf_map_lookup_elem(&config_map, &key);
    node->live = bpf_map_lookup_elem(&live_map, &key);
    if (!node->config || !node->live || !node->live->ready)
        return -1;
    node->slot = node->live->slot & 1;
    return 0;
}

static __always_inline struct edge *find_edge(const struct node *node, __u32 id)
{
    __u32 key = node->slot * IDS + id;
    struct edge *edge = bpf_map_lookup_elem(&edges, &key);
    return edge && edge->state ? edge : 0;
}

static __always_inline __u32 find_sender(const struct node *node, const struct address *address)
{
    /* a copy for the helper: what is given to it by pointer stays on the stack as a whole, here the outer packet */
    struct address key = *address;
    __u32 slot = node->slot;
    void *generation = bpf_map_lookup_elem(&tunnels, &slot);
    if (!generation)
        return 0;
    __u32 *id = bpf_map_lookup_elem(generation, &key);
    return id ? *id : 0;
}

/* Meaning of an address: a VIP, or (`prefix`) an address locator with its id. */
struct place {
    struct vip vip;
    __u32 prefix;
    __u32 id;
};

static __always_inline int lookup_place(const struct node *node, const struct address *address, struct place *place)
{
    __u32 slot = node->slot, low_bits = 0xffff;
    struct vip_key key = {.address = *address};
    void *generation = bpf_map_lookup_elem(&vips, &slot);
    if (!generation)
        return -1;
    struct vip *vip = bpf_map_lookup_elem(generation, &key);
    if (!vip) {
        if (!node->live->prefixes)
            return -1;
        if (!(key.address.word[0] | key.address.word[1]) && key.address.word[2] == bpf_htonl(0xffff))
            low_bits = 0xff;
        place->id = bpf_ntohl(key.address.word[3]) & low_bits;
        key.address.word[3] &= bpf_htonl(~low_bits);
        key.prefix = 1;
        vip = bpf_map_lookup_elem(generation, &key);
        if (!vip)
            return -1;
        place->prefix = 1;
    }
    place->vip = *vip;
    return 0;
}

/* Compare with the first VIP before the map lookup (25 ns): most nodes have one VIP. */
static __always_inline int find_place(const struct node *node, const struct address *address, struct place *place)
{
    __u32 slot = node->slot;
    struct first_vip *first = bpf_map_lookup_elem(&first_vips, &slot);

    place->prefix = 0;
    if (!first || (!same_address(address, &first->v4) && !same_address(address, &first->v6)))
        return lookup_place(node, address, place);
    place->vip = first->vip;
    return 0;
}

/* Return the id that a locator carries, 0 if the address and port are not a locator. */
static __always_inline __u32 locator_id(const struct place *place, __u32 port)
{
    if (place->prefix)
        return port == place->vip.service_port ? place->id : 0;
    return place->vip.id_base && port > place->vip.id_base ? port - place->vip.id_base : 0;
}

static __always_inline int may_answer(const struct node *node)
{
    int key = 0;
    __u64 *until = bpf_map_lookup_elem(&answer_budget, &key);
    return !node->config->answer_cost || (until && spend(until, bpf_ktime_get_coarse_ns(), node->config->answer_cost));
}

static __always_inline int source_may_open(const struct node *node, const struct packet *packet)
{
    __u32 cost = node->config->source_cost, key = source_hash(packet, node->config->seed) % SOURCES;
    __u64 *until = bpf_map_lookup_elem(&source_budgets, &key);
    return !cost || (until && spend(until, bpf_ktime_get_coarse_ns(), cost));
}

static __always_inline int owner_may_get_syn(const struct node *node, __u32 id)
{
    struct owner_budget *budget = bpf_map_lookup_elem(&owner_budgets, &id);
    __u32 cost = node->config->syn_cost;
    return !cost || (budget && spend(&budget->syns, bpf_ktime_get_coarse_ns(), cost));
}

static __always_inline void admit(const struct node *node, const struct packet *reply)
{
    __u32 flow = flow_hash_back(reply, node->config->seed), key = flow % FLOWS;
    __u32 *place = bpf_map_lookup_elem(&admitted, &key);
    if (!place)
        return;
    if (reply->flags & FLAG_RST) {
        if (*place == flow)
            *place = 0;
    } else if (!(reply->flags & FLAG_SYN) && *place != flow) {
        *place = flow;
    }
}

/* Whether the owner has answered the flow of this hash. */
static __always_inline int is_admitted(__u32 flow)
{
    __u32 key = flow % FLOWS;
    __u32 *place = bpf_map_lookup_elem(&admitted, &key);
    return place && *place == flow;
}

/* Whether this is one of the first packets to an owner in a tick (100 ms). Ticks are counted by the daemon: reading a clock
 * takes 15 ns. Without the daemon the unchecked share is used up once, and every packet is checked. */
static __always_inline int is_quiet(const struct node *node, __u32 id, __u32 packets)
{
    struct quiet *quiet = bpf_map_lookup_elem(&quiet_budgets, &id);
    if (!quiet)
        return 1;
    if (quiet->tick != node->live->tick) {
        quiet->tick = node->live->tick;
        quiet->packets = 0;
    }
    if (quiet->packets >= packets)
        return 0;
    quiet->packets += 1;
    return 1;
}

/* Admit a packet to its owner. The first `quiet_packets` of a tick pass unchecked; above, flows that the owner has answered
 * pass, and all others share the packet budget. */
static __always_inline int owner_may_get(const struct node *node, const struct packet *packet, __u32 id)
{
    __u32 cost = node->config->packet_cost;
    if (!cost || is_quiet(node, id, node->config->quiet_packets) || is_admitted(flow_hash(packet, node->config->seed)))
        return 1;
    struct owner_budget *budget = bpf_map_lookup_elem(&owner_budgets, &id);
    return budget && spend(&budget->packets, bpf_ktime_get_coarse_ns(), cost);
}

/* Admit a packet that the ring hands on to another edge. Its replies do not pass here, so that no flow is known as
 * answered. */
static __always_inline int owner_may_get_of_site(const struct node *node, __u32 id)
{
    __u32 cost = node->config->site_cost;
    if (!cost || is_quiet(node, id, node->config->site_quiet))
        return 1;
    struct owner_budget *budget = bpf_map_lookup_elem(&owner_budgets, &id);
    return budget && spend(&budget->site, bpf_ktime_get_coarse_ns(), cost);
}

/* Admit an ICMP error to the owner of the flow (flow_hash_quoted) that it is about. */
static __always_inline int owner_may_get_error(const struct node *node, __u32 flow, __u32 id)
{
    __u32 cost = node->config->error_cost;
    if (!cost)
        return 1;
    struct owner_budget *budget = bpf_map_lookup_elem(&owner_budgets, &id);
    if (!budget)
        return 0;
    __u64 now = bpf_ktime_get_coarse_ns();
    if (is_admitted(flow))
        return spend(&budget->errors, now, cost);
    return spend(&budget->other_errors, now, cost);
}

static __always_inline void note_arrival(const struct node *node, const struct packet *packet, __u32 edge)
{
    __u32 flow = flow_hash(packet, node->config->seed), key = flow % ARRIVALS;
    struct arrival *arrival = bpf_map_lookup_elem(&arrivals, &key);
    if (arrival && (arrival->flow != flow || arrival->edge != edge)) {
        arrival->flow = flow;
        arrival->edge = edge;
    }
}

static __always_inline __u32 arrival_edge(const struct node *node, const struct packet *reply)
{
    __u32 flow = flow_hash_back(reply, node->config->seed), key = flow % ARRIVALS;
    struct arrival *arrival = bpf_map_lookup_elem(&arrivals, &key);
    return arrival && arrival->flow == flow ? arrival->edge : 0;
}
