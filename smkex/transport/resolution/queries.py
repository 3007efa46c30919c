"""Questions to resolvers, and what counts as the answer to one."""

import secrets

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype

DATAGRAM_LIMIT = 1232  # bytes of an answer by UDP that no path fragments (RFC 9715)
PADDING_BLOCK = 128  # bytes to whose multiples questions are padded where they are encrypted (RFC 8467)
ALIAS_LIMIT = 8  # of one chain


class InvalidAnswer(OSError):
    """The answer is malformed, or does not fit the question."""


def make_query(
    name: dns.name.Name, kind: dns.rdatatype.RdataType, *, mixed_case: bool = False, padded: bool = False
) -> dns.message.Message:
    """Return a question with a random id.

    With `mixed_case` the letters of the name are in random case, which an answer repeats: a forger who does not see the
    question has to guess them, too (draft-vixie-dnsext-dns0x20).
    """
    asked = _mix_case(name) if mixed_case else name
    return dns.message.make_query(
        asked,
        kind,
        use_edns=0,
        payload=DATAGRAM_LIMIT,
        pad=PADDING_BLOCK if padded else 0,
        id=secrets.randbelow(1 << 16),
    )


def _mix_case(name: dns.name.Name) -> dns.name.Name:
    return dns.name.Name(
        bytes(letter ^ 0x20 if chr(letter).isalpha() and secrets.randbits(1) else letter for letter in label)
        for label in name.labels
    )


def parse_answer(query: dns.message.Message, data: bytes) -> dns.message.Message:
    """Return the answer to `query`, truncated or not. Raises `InvalidAnswer` for anything else."""
    try:
        answer = dns.message.from_wire(data, raise_on_truncation=True)
    except dns.message.Truncated as cut:
        answer = cut.kwargs["message"]
    except (dns.exception.DNSException, ValueError, IndexError) as error:
        raise InvalidAnswer(f"the answer is malformed: {error}") from None
    if not query.is_response(answer):
        raise InvalidAnswer("the answer is to another question")
    if answer.question and answer.question[0].name.labels != query.question[0].name.labels:
        raise InvalidAnswer("the answer spells the name in another case than the question")
    return answer


def is_truncated(answer: dns.message.Message) -> bool:
    return bool(answer.flags & dns.flags.TC)


def select_records(
    answer: dns.message.Message, name: dns.name.Name, kind: dns.rdatatype.RdataType
) -> tuple[dns.name.Name, list[object]]:
    """Return the name at the end of the chain of aliases (CNAME) from `name`, and its records of `kind`.

    Records of other names are passed over. Raises `InvalidAnswer` for a chain that is too long or a loop.
    """
    sets = {
        (found.name, found.rdtype): found for found in answer.answer if found.rdclass == dns.rdataclass.IN
    }
    for _ in range(ALIAS_LIMIT + 1):
        wanted = sets.get((name, kind))
        if wanted is not None:
            return name, list(wanted)
        alias = sets.get((name, dns.rdatatype.CNAME))
        if alias is None:
            return name, []
        name = alias[0].target
    raise InvalidAnswer(f"more than {ALIAS_LIMIT} aliases, or a loop of them")
