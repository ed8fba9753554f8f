"""The tables of what was measured, and the goals."""

import statistics
from dataclasses import dataclass, field

from gateways import BASELINE, BASIC, SERVICE_TOKEN, SESSION, SIGNED_IN
from loads import CLEAR, HANDSHAKES, HTTP2, KINDS, TLS
from proxies import ENVOY, HAPROXY_HS256, NGINX, PLAIN, PLAIN_MIMALLOC

MAX_IDLE_MIB = 20.0
# Of whom a program may take how much of the CPU at most, under each kind of load.
GOALS = {
    CLEAR: [
        (SIGNED_IN, PLAIN, 1.10),
        (SIGNED_IN, PLAIN_MIMALLOC, 1.03),
        (SIGNED_IN, HAPROXY_HS256, 1.00),
        (SIGNED_IN, ENVOY, 1.00),
        (SESSION, SIGNED_IN, 1.10),
        (BASIC, SIGNED_IN, 1.05),
        (SERVICE_TOKEN, SIGNED_IN, 1.05),
    ],
    TLS: [(SIGNED_IN, NGINX, 1.50)],
    HTTP2: [(SIGNED_IN, NGINX, 1.60)],
    HANDSHAKES: [(SIGNED_IN, NGINX, 0.90)],
}


@dataclass(frozen=True)
class Setting:
    """A load, of which the programs are compared."""

    kind: str
    workers: int
    connections: int

    def name(self):
        parts = [KINDS[self.kind]] + ([f"{self.connections:,} connections"] if self.connections else [])
        return ", ".join([*parts, "1 worker" if self.workers == 1 else f"{self.workers} workers"])


@dataclass
class Results:
    """By setting, the microseconds of each program in each round."""

    samples: dict = field(default_factory=dict)
    idle_mib: float = 0.0

    def ratios(self, setting, name, base):
        """The ratios of two programs, of each round. Of handshakes, those of their numbers in a second of CPU."""
        of = self.samples[setting]
        if setting.kind == HANDSHAKES:
            name, base = base, name
        return [mine / theirs for mine, theirs in zip(of[name], of[base], strict=True)]

    def ratio(self, setting, name, base):
        return statistics.median(self.ratios(setting, name, base))


def tables(results):
    print(f"\nidle resident memory: {results.idle_mib:.1f} MiB (at most {MAX_IDLE_MIB:.0f})")
    for setting in list(results.samples)[:1]:
        if setting.kind == CLEAR and setting.workers == 1:
            all_programs(results, setting)
    for kind, title in KINDS.items():
        if any(setting.kind == kind for setting in results.samples):
            if kind == HANDSHAKES:
                handshakes(results)
            else:
                by_connections(results, kind, title)
    baseline(results)


def all_programs(results, setting):
    print(f"\n{setting.name()}")
    print(f"{'CPU µs per request':<31}{'median':>8}{'lowest':>8}{'highest':>8}   of plain Pingora")
    for name, samples in results.samples[setting].items():
        note = ""
        if name in (SESSION, BASIC, SERVICE_TOKEN):
            note = f" ({results.ratio(setting, name, SIGNED_IN):.2f} of signed in)"
        of_plain = results.ratio(setting, name, PLAIN)
        print(f"{name:<31}{median(samples):>8.1f}{min(samples):>8.1f}{max(samples):>8.1f}   {of_plain:.2f}{note}")


def by_connections(results, kind, title):
    """The medians with each number of connections. The widest table has the rest."""
    base = PLAIN_MIMALLOC if kind == CLEAR else NGINX
    print(f"\n{title}, by connections: median CPU µs per request (of {base})")
    for workers in sorted({setting.workers for setting in results.samples if setting.kind == kind}):
        chosen = [setting for setting in results.samples if (setting.kind, setting.workers) == (kind, workers)]
        print(f"{'1 worker' if workers == 1 else f'{workers} workers':<31}" + "".join(f"{s.connections:>15,}" for s in chosen))
        # The last has no more than the others, where there are others.
        for name in results.samples[chosen[-1]]:
            if len(chosen) > 1 or name in (NGINX, PLAIN_MIMALLOC, HAPROXY_HS256, ENVOY) or name.endswith(SIGNED_IN):
                cells = [f"{median(results.samples[s][name]):.1f} ({results.ratio(s, name, base):.2f})" for s in chosen]
                print(f"{name:<31}" + "".join(f"{cell:>15}" for cell in cells))


def handshakes(results):
    print(f"\n{'full TLS handshakes per CPU second':<40}{'median':>8}{'lowest':>8}{'highest':>8}   of nginx")
    for setting in [setting for setting in results.samples if setting.kind == HANDSHAKES]:
        for name, samples in results.samples[setting].items():
            rates = [1e6 / sample for sample in samples]
            label = f"{name}, {'1 worker' if setting.workers == 1 else f'{setting.workers} workers'}"
            ratio = results.ratio(setting, name, NGINX)
            print(f"{label:<40}{median(rates):>8.0f}{min(rates):>8.0f}{max(rates):>8.0f}   {ratio:.2f}")


def baseline(results):
    """This version, compared with the other one."""
    for setting, samples in results.samples.items():
        for name in [name for name in samples if BASELINE + name in samples]:
            print(f"{setting.name()}: {name}: {results.ratio(setting, name, BASELINE + name):.3f} of the baseline")


def goals(results):
    """Prints each goal that something was measured for, and tells whether all of them are met."""
    print("\ngoals (in brackets what is allowed, and the lowest and the highest of the rounds)")
    met = [told(results.idle_mib <= MAX_IDLE_MIB, f"idle: {results.idle_mib:.1f} MiB (at most {MAX_IDLE_MIB:.0f})")]
    for setting, samples in results.samples.items():
        print(setting.name())
        for name, base, limit in GOALS[setting.kind]:
            if name in samples and base in samples:
                met.append(goal(results, setting, (name, base, limit)))
    return all(met)


def goal(results, setting, wanted):
    name, base, limit = wanted
    ratio, rounds = results.ratio(setting, name, base), results.ratios(setting, name, base)
    # Of handshakes more is better.
    word, is_met = ("least", ratio >= limit) if setting.kind == HANDSHAKES else ("most", ratio <= limit)
    names = [text.removeprefix("vestibule, ") for text in (name, base)]
    allowed = f"at {word} {limit:.2f}; {min(rounds):.2f} to {max(rounds):.2f}"
    return told(is_met, f"{names[0]}: {ratio:.2f} of {names[1]} ({allowed})")


def told(is_met, words):
    print(f"  {'met' if is_met else 'not met':<9}{words}")
    return is_met


def median(samples):
    return statistics.median(samples)
