/* The ring of a site (balancer/model/ring.py): the router may send a first subflow's packet to any of its edges; all
 * compute the same owner. */
#pragma once

#include "flow.h"
#include "maps.h"
#include "packet.h"

/* A flow as its client's packets name it, whether one of them is here or an ICMP error about it. */
struct site_flow {
    const struct address *client, *vip;
    __u32 client_port, vip_port;
    int version;
    int opens; /* a first SYN */
    int error; /* `packet` is an ICMP error; without CAP_PERFMON pointers are not compared */
    const struct packet *packet;
};

static __always_inline struct site_flow flow_of_segment(const struct packet *packet, int opens)
{
    struct site_flow flow = {&packet->from, &packet->to, packet->source, packet->dest, packet->version, opens, 0, packet};
    return flow;
}

static __always_inline struct site_flow flow_of_error(const struct packet *packet, const struct quoted *quoted)
{
    struct site_flow flow = {&quoted->to, &packet->to, quoted->dest, quoted->source, packet->version, 0, 1, packet};
    return flow;
}

static __always_inline __u32 ring_hash(const struct ring_seed *seed, const struct site_flow *flow)
{
    __u32 hash = hash_ends(seed->word[0], flow->version, flow->client, flow->vip, flow->client_port << 16 | flow->vip_port);
    return seed->word[1] ? hash_finish(hash ^ seed->word[1]) : hash;
}

static __always_inline int same_seed(const struct ring_seed *a, const struct ring_seed *b)
{
    return a->word[0] == b->word[0] && a->word[1] == b->word[1];
}

/* Return the owner by the seed, and the owner before the last change by the previous one. */
static __always_inline struct bucket find_bucket(const struct node *node, const struct site_flow *flow)
{
    struct bucket found = {}, *bucket;
    __u32 slot = node->slot, number;
    struct first_vip *seeds = bpf_map_lookup_elem(&first_vips, &slot);
    void *generation = bpf_map_lookup_elem(&rings, &slot);
    if (!generation || !seeds)
        return found;
    number = ring_hash(&seeds->seed, flow) % BUCKETS;
    bucket = bpf_map_lookup_elem(generation, &number);
    if (!bucket)
        return found;
    found = *bucket;
    if (same_seed(&seeds->seed, &seeds->previous_seed))
        return found;
    number = ring_hash(&seeds->previous_seed, flow) % BUCKETS;
    bucket = bpf_map_lookup_elem(generation, &number);
    if (bucket)
        found.previous = bucket->previous;
    return found;
}

/* Return whether the packet acknowledges a SYN cookie of this host, whose connection has no socket yet. */
static __always_inline int has_valid_cookie(struct __sk_buff *skb, const struct packet *packet, struct bpf_sock *listener)
{
    struct ipv6hdr v6;
    struct iphdr v4;
    struct tcphdr tcp;

    if (bpf_skb_load_bytes(skb, packet->l4, &tcp, sizeof(tcp)) < 0)
        return 0;
    if (packet->version == 4)
        return bpf_skb_load_bytes(skb, packet->l3, &v4, sizeof(v4)) == 0 &&
               bpf_tcp_check_syncookie(listener, &v4, sizeof(v4), &tcp, sizeof(tcp)) == 0;
    return bpf_skb_load_bytes(skb, packet->l3, &v6, sizeof(v6)) == 0 &&
           bpf_tcp_check_syncookie(listener, &v6, sizeof(v6), &tcp, sizeof(tcp)) == 0;
}

/* Return whether this host has the flow's connection. */
static __always_inline int is_connected(struct __sk_buff *skb, const struct site_flow *flow)
{
    struct bpf_sock_tuple tuple = {};
    __u32 size = sizeof(tuple.ipv4);

    if (flow->version == 4) {
        tuple.ipv4.saddr = flow->client->word[3];
        tuple.ipv4.daddr = flow->vip->word[3];
        tuple.ipv4.sport = bpf_htons(flow->client_port);
        tuple.ipv4.dport = bpf_htons(flow->vip_port);
    } else {
        copy_address((struct address *)tuple.ipv6.saddr, flow->client->word);
        copy_address((struct address *)tuple.ipv6.daddr, flow->vip->word);
        tuple.ipv6.sport = bpf_htons(flow->client_port);
        tuple.ipv6.dport = bpf_htons(flow->vip_port);
        size = sizeof(tuple.ipv6);
    }
    struct bpf_sock *sock = bpf_skc_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
    if (!sock)
        return 0;
    int connected = sock->state != BPF_TCP_LISTEN || (!flow->error && has_valid_cookie(skb, flow->packet, sock));
    bpf_sk_release(sock);
    return connected;
}

/* Return the owner of a first subflow's packet, 0 if none: this edge if the ring names it or it has the connection, else
 * another edge of the site. `sender` is the edge that forwarded the packet, 0 from outside; nothing is sent back to it.
 * `reason` becomes SITE_CHAINED if the connection began before the ring changed and another edge has it. */
static __always_inline __u32 site_owner(struct __sk_buff *skb, const struct node *node, const struct site_flow *flow,
                                        __u32 sender, enum reason *reason)
{
    __u32 own = node->config->own_id;
    struct bucket bucket = find_bucket(node, flow);

    if (!bucket.owner)
        return 0;
    if (bucket.owner != own) {
        if (sender) /* forwarded once: never again */
            return bucket.previous == own ? own : 0;
        return bucket.previous == own && !flow->opens && is_connected(skb, flow) ? own : bucket.owner;
    }
    if (flow->opens || bucket.previous == own || bucket.previous == sender || is_connected(skb, flow))
        return own;
    if (!flow->error)
        *reason = SITE_CHAINED;
    return bucket.previous;
}
