"""`python -m bench [NAME...]`: the figures, each as a ratio to a floor of the same run."""

import argparse
import os
import platform
import time

from bench import api, app, arm, crowd, emulator, intake, matching, rollout

_BENCHES = {
    "matching": matching.run,
    "intake": intake.run,
    "app": app.run,
    "api": api.run,
    "arm": arm.run,
    "emulator": emulator.run,
    "rollout": rollout.run,
    "crowd": crowd.run,
}


def main() -> None:
    """Run what is asked for, or everything."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(_BENCHES)}")
    names = parser.parse_args().names or list(_BENCHES)
    unknown = [name for name in names if name not in _BENCHES]
    if unknown:
        parser.error(f"{unknown[0]!r} is not one of {', '.join(_BENCHES)}")
    cores = len(os.sched_getaffinity(0))
    print(
        f"{platform.system()} {platform.machine()}, {cores} cores, Python "
        f"{platform.python_version()}, load {os.getloadavg()[0]:.1f} at the start"
    )
    for name in names:
        begin = time.monotonic()
        print(f"\n{name}", flush=True)
        for figure in _BENCHES[name]():
            aim = f"  aim {figure.aim}" if figure.aim else ""
            print(
                f"  {figure.name:<38} {figure.ratio:>9.3g} x {figure.floor}"
                f"  [{figure.measured}]{aim}"
            )
        print(f"  ({time.monotonic() - begin:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
