"""All programs that are compared, started and checked."""

import gateways
import proxies
from checks import check
from gateways import BASELINE
from installed import Skipped
from loads import CLEAR
from processes import CORES

# Those of the tables with several numbers of connections.
MAIN = {proxies.NGINX, proxies.PLAIN_MIMALLOC, proxies.HAPROXY_HS256, proxies.ENVOY, gateways.SIGNED_IN}


def skipped(name, why):
    print(f"skipped: {name}: {why}", flush=True)


class Compared:
    """The programs with a number of workers, in the clear and with TLS."""

    def __init__(self, chosen, setup, stack):
        self.stack, self.workers = stack, setup.workers
        own = self.started(gateways.start, chosen.target / "vestibule", setup.below("gateway"))
        self.idle_mib, visitor = own[0].process.idle_mib, own[0].cookie
        self.programs = self.started(proxies.nginx, setup, visitor)
        for name in (proxies.PLAIN, proxies.PLAIN_MIMALLOC):
            self.programs += self.started(proxies.plain, setup, visitor, chosen.target / "examples", name)
        if setup.workers == 1:
            for algorithm in ("HS256", "RS256", "ES256"):
                self.programs += self.started_or_skipped(f"HAProxy, {algorithm}", proxies.haproxy, setup, visitor, algorithm)
            self.programs += self.started_or_skipped("Envoy", proxies.envoy, setup, visitor)
        self.programs += own
        if chosen.baseline:
            self.programs += self.started(gateways.start, chosen.baseline, setup.below("baseline"), BASELINE)
        for program in self.programs:
            check(program, proxies.ANSWER)
            program.process.keep_to_cores(set(CORES[: setup.workers]))

    def started(self, function, *arguments):
        programs = function(*arguments)
        self.stack.callback(programs[0].process.stop)
        return programs

    def started_or_skipped(self, name, function, *arguments):
        try:
            return self.started(function, *arguments)
        except Skipped as why:
            skipped(name, why)
            return []

    def of_table(self, kind, is_widest):
        """The programs of a table: those in the clear are all in the widest."""
        programs = [program for program in self.programs if program.tls == (kind != CLEAR)]
        return [one for one in programs if one.tls or is_widest or one.name.removeprefix(BASELINE) in MAIN]
