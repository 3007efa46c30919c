/* SMKEX's key exchange over two paths, for the model checker Spin. README.md beside it says what it shows.
 *
 * Set on the command line: ON0, ON1 who sits on each path; TALK whether they can talk during the exchange (whatever
 * they agreed on beforehand they all know); KNOWN mode tofu with a fleet key that the client remembers; EDGE_CLAIM
 * whether the edge's claim is checked too; REACH makes the client's acceptance an error, to show that it can be reached.
 *
 * Cryptography is perfect and what is sent is a symbol. A share is public, its exponent secret; whoever knows one
 * exponent of two shares has their secret. Binding and MAC of ServerNonce cover the same four things, nonces and shares,
 * so they are one proof: nobody makes it without knowing all four and the secret, and it can be carried on as it is.
 *
 * Attackers are no processes: where an active one sits, what arrives is whatever it can produce by then.
 */
#define NOBODY  0
#define PASSIVE 1                       /* reads */
#define ACTIVE  2                       /* decides what arrives, and is the other end if it likes */

/* symbols: shares, then nonces */
#define GX 1                            /* the client's share */
#define GA 2                            /* the attackers', who agreed on its exponent beforehand */
#define GY 3                            /* the edge's in session s: GY + s */
#define NC 5                            /* the client's nonce */
#define NA 6                            /* the attackers' */
#define NS 7                            /* the edge's for candidate c: NS + c */
#define SYMBOLS 10

typedef Proof { byte nc; byte ns; byte gx; byte gy }    /* what binding and MAC, or a Finished, are over */
typedef Mind { bool knows[SYMBOLS] }

Mind mind[2];                           /* what the attacker of each path knows; one mind if they talk */
bool said[SYMBOLS];                     /* by client or edge, on the path where it belongs */
Proof candidate[3];                     /* what the edge answered: in session 0 candidates 0 and 1, in session 1 the 2 */
Proof accepted;                         /* what the client has accepted, and so its Finished */

#define ON(path)    (path == 0 -> ON0 : ON1)
#define MIND(path)  mind[(TALK -> 0 : path)]
#define KNOWS(path, symbol)  MIND(path).knows[symbol]
#define SAME(p, q)  (p.nc == q.nc && p.ns == q.ns && p.gx == q.gx && p.gy == q.gy)

/* The attackers have the secret of two shares if one exponent is theirs. With a known fleet key the edge's certified
 * share is in the secret too: then only who chose the client's exponent has it. */
#define SECRET_KNOWN(x, y) ((x == GA || y == GA) && !(KNOWN && x != GA))

inline say(path, symbol) {
    said[symbol] = true;
    if :: ON(path) != NOBODY -> KNOWS(path, symbol) = true :: else fi
}

/* Choose what the attacker of this path can send; where it knows none of it, nothing arrives. */
inline attackers_share(path, s) {
    if :: KNOWS(path, GX) -> s = GX :: s = GA :: KNOWS(path, GY) -> s = GY :: KNOWS(path, GY + 1) -> s = GY + 1 fi
}
inline attackers_proof(c) {             /* as candidate c, or the one that the client would take */
    KNOWS(1, candidate[c].nc) && KNOWS(1, candidate[c].ns) && KNOWS(1, candidate[c].gx) && KNOWS(1, candidate[c].gy);
    SECRET_KNOWN(candidate[c].gx, candidate[c].gy)
}

inline take(p, nc_, ns_, gx_, gy_) { p.nc = nc_; p.ns = ns_; p.gx = gx_; p.gy = gy_ }

proctype Client() {
    byte gy, ns; Proof p;
    atomic { say(0, GX) };
    if                                  /* with a remembered edge id the nonce goes out at once */
    :: atomic { say(1, NC) }
    :: skip
    fi;
    atomic {                            /* ServerShare */
        if
        :: ON0 != ACTIVE -> said[GY]; gy = GY
        :: ON0 == ACTIVE -> attackers_share(0, gy)
        fi
    };
    atomic { say(1, NC) };
    atomic {                            /* ServerNonce */
        if
        :: candidate[0].ns != 0 && (ON1 == ACTIVE || candidate[0].nc == NC) ->
            take(p, candidate[0].nc, candidate[0].ns, candidate[0].gx, candidate[0].gy)
        :: candidate[1].ns != 0 && ON1 == ACTIVE ->
            take(p, candidate[1].nc, candidate[1].ns, candidate[1].gx, candidate[1].gy)
        :: candidate[2].ns != 0 && ON1 == ACTIVE ->
            take(p, candidate[2].nc, candidate[2].ns, candidate[2].gx, candidate[2].gy)
        :: ON1 == ACTIVE && KNOWS(1, GX) && KNOWS(1, gy) && SECRET_KNOWN(GX, gy) ->     /* one of its own making */
            if :: ns = NA :: KNOWS(1, NS) -> ns = NS :: KNOWS(1, NS + 1) -> ns = NS + 1 fi;
            take(p, NC, ns, GX, gy)
        fi
    };
    atomic {
        if
        :: p.nc == NC && p.gx == GX && p.gy == gy ->
            take(accepted, p.nc, p.ns, p.gx, p.gy);
            assert(!REACH);
            assert(!SECRET_KNOWN(GX, gy));                          /* no attacker has the key */
            assert(SAME(p, candidate[0]) || SAME(p, candidate[1]) || SAME(p, candidate[2]))    /* the edge has it */
        :: else                         /* detected: binding-mismatch or mac-mismatch */
        fi
    }
}

/* One session of the edge. Number 0 is that of the connection on the client's path 0; 1 somebody opens elsewhere. */
proctype Edge(byte s) {
    byte gx, n, c = 2 * s; Proof p;
    atomic {                            /* ClientShare */
        if
        :: s == 0 && ON0 != ACTIVE -> said[GX]; gx = GX
        :: s == 0 && ON0 == ACTIVE -> attackers_share(0, gx)
        :: s == 1 && ON0 != NOBODY -> attackers_share(0, gx); KNOWS(0, GY + 1) = true
        :: s == 1 && ON1 != NOBODY -> attackers_share(1, gx); KNOWS(1, GY + 1) = true
        fi;
        if :: s == 0 -> say(0, GY) :: else fi
    };
    do
    :: atomic {                         /* ClientNonce, on path 1; any that is not the client's is as good as NA */
            c < 2 + s ->
            if
            :: s == 0 && c == 0 && ON1 != ACTIVE -> said[NC]; n = NC
            :: ON1 == ACTIVE && KNOWS(1, NC) -> n = NC
            :: ON1 == ACTIVE -> n = NA
            fi;
            take(candidate[c], n, NS + c, gx, GY + s);
            say(1, NS + c);
            c++; n = 0
        }
    :: atomic {                         /* Finished, on path 1; attackers can carry on the client's */
            s == 0 ->
            if
            :: accepted.nc != 0 -> take(p, accepted.nc, accepted.ns, accepted.gx, accepted.gy)
            :: ON1 == ACTIVE && candidate[0].ns != 0 -> attackers_proof(0);
                take(p, candidate[0].nc, candidate[0].ns, candidate[0].gx, candidate[0].gy)
            :: ON1 == ACTIVE && candidate[1].ns != 0 -> attackers_proof(1);
                take(p, candidate[1].nc, candidate[1].ns, candidate[1].gx, candidate[1].gy)
            fi;
            if
            :: SAME(p, candidate[0]) || SAME(p, candidate[1]) ->
                assert(!EDGE_CLAIM || SAME(p, accepted))    /* path-confirmed: this is the client, by both its paths */
            :: else                     /* finished-mismatch */
            fi;
            break
        }
    od
}

init {
    atomic {
        mind[0].knows[GA] = true; mind[0].knows[NA] = true;
        mind[1].knows[GA] = true; mind[1].knows[NA] = true;
        run Client(); run Edge(0); run Edge(1)
    }
}
