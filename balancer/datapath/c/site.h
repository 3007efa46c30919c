/* The ring of a site (balancer/model/ring.py): the router may send a first subflow's packet to any of its edges; all
 * compute the same owner. */
#pragma once

#include "flow.h"
#include "maps.h"
#include "packet.h"

static __always_inline struct bucket find_bucket(const struct node *node, const struct packet *packet)
{
    struct bucket none = {};
    __u32 slot = node->slot, number = flow_hash(packet, RING_SEED) % BUCKETS;
    void *generation = rings.lookup(&slot);
    if (!generation)
        return none;
    struct bucket *bucket = bpf_map_lookup_elem(generation, &number);
    return bucket ? *bucket : none;
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

/* Return whether this host has the packet's connection. */
static __always_inline int is_connected(struct __sk_buff *skb, const struct packet *packet)
{
    struct bpf_sock_tuple tuple = {};
    __u32 size = sizeof(tuple.ipv4);

    if (packet->version == 4) {
        tuple.ipv4.saddr = packet->from.word[3];
        tuple.ipv4.daddr = packet->to.word[3];
        tuple.ipv4.sport = bpf_htons(packet->source);
        tuple.ipv4.dport = bpf_htons(packet->dest);
    } else {
        copy_address((struct address *)tuple.ipv6.saddr, packet->from.word);
        copy_address((struct address *)tuple.ipv6.daddr, packet->to.word);
        tuple.ipv6.sport = bpf_htons(packet->source);
        tuple.ipv6.dport = bpf_htons(packet->dest);
        size = sizeof(tuple.ipv6);
    }
    struct bpf_sock *sock = bpf_skc_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
    if (!sock)
        return 0;
    int connected = sock->state != BPF_TCP_LISTEN || has_valid_cookie(skb, packet, sock);
    bpf_sk_release(sock);
    return connected;
}

/* Return the owner of a first subflow's packet, 0 if none: this edge if the ring names it or it has the connection, else
 * another edge of the site. `sender` is the edge that forwarded the packet, 0 from outside; nothing is sent back to it.
 * `reason` becomes SITE_CHAINED if the connection began before the ring changed and another edge has it. */
static __always_inline __u32 site_owner(struct __sk_buff *skb, const struct node *node, const struct packet *packet,
                                        __u32 sender, enum reason *reason)
{
    struct bucket bucket = find_bucket(node, packet);
    __u32 own = node->config->own_id;
    int opens = (packet->flags & (FLAG_SYN | FLAG_ACK | FLAG_RST)) == FLAG_SYN;

    if (!bucket.owner)
        return 0;
    if (bucket.owner != own) {
        if (sender) /* forwarded once: never again */
            return bucket.previous == own ? own : 0;
        return bucket.previous == own && !opens && is_connected(skb, packet) ? own : bucket.owner;
    }
    if (opens || bucket.previous == own || bucket.previous == sender || is_connected(skb, packet))
        return own;
    *reason = SITE_CHAINED;
    return bucket.previous;
}
