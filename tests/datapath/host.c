/* The pure headers as a program of this host, under sanitizers: packets in, what was read out (test_on_the_host.py).
 *
 * In: u32 length, the packet. Out: ten u32: version (0: none), l4, protocol, fragment, whole TCP header, quoted ports,
 * place of the MSS, flow, extension header, martian. */
#include <stdio.h>
#include <stdlib.h>

#include "host_kernel.h"

#include "layout.h"
#include "packet.h"
#include "checksum.h"
#include "flow.h"
#include "tunnel.h"
#include "mss.h"

int main(void)
{
    __u32 length;

    while (fread(&length, sizeof(length), 1, stdin) == 1) {
        __u8 *bytes = malloc(length); /* to the byte: reading further is an error that ends this program */
        struct packet packet = {};
        __u32 parsed[10] = {};
        __u16 mss;
        if (!bytes || fread(bytes, length, 1, stdin) != 1)
            return 1;
        struct __sk_buff skb = {(unsigned long)bytes, (unsigned long)bytes + length, length, 0};
        int version = bytes[12] == 8 ? 4 : 6;
        if (read_first_ip(&packet, &skb, ETHERNET, version) == 0) {
            parsed[0] = version;
            parsed[1] = packet.l4;
            parsed[2] = packet.protocol;
            parsed[3] = packet.fragment;
            parsed[8] = has_extension(&packet);
            parsed[9] = is_martian(&packet);
            if (packet.protocol == IPPROTO_TCP && read_first_tcp(&packet, &skb, ETHERNET) == 0) {
                parsed[4] = 1;
                parsed[6] = find_mss(&packet, &skb, &mss);
                parsed[7] = flow_hash(&packet, 7);
            } else if (carries_icmp(&packet)) {
                struct quoted quoted = {};
                if (read_quoted(&packet, &skb, &quoted) == 0)
                    parsed[5] = quoted.source << 16 | quoted.dest;
            }
        }
        fwrite(parsed, sizeof(parsed), 1, stdout);
        fflush(stdout);
        free(bytes);
    }
    return 0;
}
