"""How fast the page of a capacity plan answers: python benchmarks/capacity_page.py FOLDER.

FOLDER has the files of `fedbert capacity`. In headless Chromium each of 200 moves sets one slider to a random
place, with a plan B beside it, and waits for the answers and their layout. Once with the run's own rounds,
and with rounds that are opened each by itself at several spreads beyond chance: there the chance that rounds
fill is 24 integrals over 101 quantiles. The time on the clock holds other work of the machine; processor time
does not. The first moves, in which the browser compiles, count.
"""

import argparse
import random
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from fedbert.planning.capacity.capacity import CapacityForecast
from fedbert.reporting.capacity.page import render
from fedbert.reporting.capacity.record import load_forecast

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reporting"))
from browser import Page, browser, chromium

MOVES = 200
SPREADS = (0.0, 0.002, 0.05, 0.5)

MOVE = """(() => {
  const slider = document.querySelector('[data-slider="%s"]');
  slider.value = "%d";
  const start = performance.now();
  slider.dispatchEvent(new Event("input"));
  document.body.getBoundingClientRect();
  return performance.now() - start;
})()"""
INPUTS = 'JSON.parse(document.querySelector("[data-live] script").textContent).inputs.map((each) => each.key)'


def moves(page: Page, file: Path) -> tuple[list[float], list[float]]:
    """Return milliseconds of each move, sorted: of the processor, and on the clock."""

    def processor_ms() -> float:
        metrics = page.call("Performance.getMetrics")["metrics"]
        return 1e3 * next(float(each["value"]) for each in metrics if each["name"] == "TaskDuration")

    page.call("Performance.enable", timeDomain="threadTicks")
    page.open(file)
    page.run("document.querySelector('[data-pin]').click()")
    keys, rng = page.run(INPUTS), random.Random(0)
    processor, clock = [], []
    for move in range(MOVES):
        before = processor_ms()
        clock.append(page.run(MOVE % (keys[move % len(keys)], rng.randint(-1000, 1000))))
        processor.append(processor_ms() - before)
    return sorted(processor), sorted(clock)


def cases(result: CapacityForecast) -> dict[str, CapacityForecast]:
    """Return the plan with the run's own rounds, and with rounds that are opened one by one."""
    assert result.basis is not None, "a plan whose page has inputs"
    alone = {
        f"each round by itself, spread {spread:g}": replace(
            result, basis=replace(result.basis, waits=False, round_spread=spread)
        )
        for spread in SPREADS
    }
    return {"rounds of the run": result, **alone}


def main() -> None:
    """Print milliseconds of a move by case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    result, command = load_forecast(parser.parse_args().folder)
    path = chromium()
    if path is None:
        raise SystemExit("no Chromium is installed")
    print("| Rounds | Processor ms: median | 95 % | most | Clock ms: median | 95 % | most |")
    print("|---|---|---|---|---|---|---|")
    with browser(path) as page, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.html"
        for name, case in cases(result).items():
            file.write_text(render(case, command), encoding="utf-8")
            figures = [
                f"{spent[place]:.1f}" for spent in moves(page, file) for place in (MOVES // 2, -11, -1)
            ]
            print(f"| {name} | {' | '.join(figures)} |")


if __name__ == "__main__":
    main()
