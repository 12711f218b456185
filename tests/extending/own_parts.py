"""Parts of a user's own that break a rule each, as source to be put behind a worked example."""

SIGNALS = {
    "lacks a method": (
        "class Bad:\n    name = 'bad'\n    layout = reports = start = None\n",
        "must have learn; docs/how-to/signal.md shows one",
    ),
    "cannot be made": (
        "class Bad(Activity):\n    def __init__(self, more): ...\n",
        "must not fail: TypeError: ",
    ),
    "fails": (
        "class Bad(Activity):\n    def reports(self, layout, clicks):\n        return 1 / 0\n",
        "must not fail: ZeroDivisionError: division by zero on line ",
    ),
    "reports of a wrong shape": (
        "class Bad(Activity):\n    def reports(self, layout, clicks):\n"
        "        return DenseReports(np.zeros((len(clicks.item), 3), np.int64))\n",
        "must give int64[4, 1] as reports(...).dense(factors), not int64[4, 3]",
    ),
    "reports of a wrong type": (
        "class Loose(DenseReports):\n    def dense(self, factors):\n"
        "        return self.integers * factors[:, None]\n"
        "class Bad(Activity):\n    def reports(self, layout, clicks):\n"
        "        return Loose(super().reports(layout, clicks).integers)\n",
        "must give int64[4, 1] as reports(...).dense(factors), not float64[4, 1]",
    ),
    "a sum that wraps": (
        "class Loose(DenseReports):\n    squared_norm = property(lambda self: 0 * self.integers[:, 0])\n"
        "class Bad(Activity):\n    def reports(self, layout, clicks):\n"
        "        return Loose(super().reports(layout, clicks).integers)\n",
        "must give the squared norm of what a device sends as squared_norm, 10816 and not 0: else the device "
        "is not clipped, and the sum could wrap",
    ),
    "integers that overflow": (
        "class Bad(Activity):\n    def reports(self, layout, clicks):\n"
        "        return DenseReports(super().reports(layout, clicks).integers * 10**9)\n",
        "must give the squared norm of what a device sends as squared_norm, ",
    ),
    "a sum that is not of its reports": (
        "class Loose(DenseReports):\n    def sum(self, factors):\n"
        "        return self.integers.sum(axis=0)\n"
        "class Bad(Activity):\n    def reports(self, layout, clicks):\n"
        "        return Loose(super().reports(layout, clicks).integers)\n",
        "must give in reports(...).sum(factors) the sum of dense(factors) over devices",
    ),
    "a report that looks at its neighbours": (
        "class Bad(Activity):\n    def reports(self, layout, clicks):\n"
        "        integers = super().reports(layout, clicks).integers\n"
        "        return DenseReports(integers + len(integers))\n",
        "must give a device the same report whichever others are asked for with it",
    ),
    "no size": (
        "class Bad(Activity):\n    def layout(self, items, dim):\n        return OneNumber(0)\n",
        "must have a layout with a size >= 1, not 0",
    ),
    "memory that is no array": (
        "class Bad(Activity):\n    def start(self, layout, view):\n        return {'clicks': [0.0]}\n",
        "must keep numpy arrays of numbers in its memory, not 'clicks': <class 'list'>",
    ),
    "memory that is changed in place": (
        "class Bad(Activity):\n    def learn(self, layout, memory, noisy, view):\n"
        "        new, targets = super().learn(layout, memory, noisy, view)\n"
        "        memory['clicks'][:] = new['clicks']\n        return memory, targets\n",
        "must return a new memory from learn, and leave the old one as it is",
    ),
    "targets of a wrong shape": (
        "class Bad(Activity):\n    def learn(self, layout, memory, noisy, view):\n"
        "        return memory, Targets(view.names[:3], np.ones(3, np.float32))\n",
        "must give float32[278, 96] as the targets' vectors, not float32[3, 96]",
    ),
    "weights out of range": (
        "class Bad(Activity):\n    def learn(self, layout, memory, noisy, view):\n"
        "        return memory, Targets(view.names, np.full(278, 2, np.float32))\n",
        "must give weights within 0..1",
    ),
}

_STATED = "class Bad(OnDevice):\n    def spent(self, rounds):\n        (bound,) = super().spent(rounds)\n"
MECHANISMS = {
    "lacks make": ("class Bad: ...\n", "must name something that can be called"),
    "lacks a method": (
        "class Bad:\n    @classmethod\n    def make(cls, settings):\n        return cls()\n",
        "must have name; docs/how-to/mechanism.md shows one",
    ),
    "fails": (
        "class Bad(OnDevice):\n    def joins(self, devices, round_):\n        return devices.nothing\n",
        "must not fail: AttributeError: 'DeviceRange' object has no attribute 'nothing' on line ",
    ),
    "joins of a wrong type": (
        "class Bad(OnDevice):\n    def joins(self, devices, round_):\n"
        "        return np.ones(devices.count)\n",
        "must give bool[64] as joins(...), not float64[64]",
    ),
    "noise of a wrong shape": (
        "class Bad(OnDevice):\n    def on_sum(self, noise_seed, round_, size):\n        return np.zeros(1)\n",
        "must give float64[5] as on_sum(...), not float64[1]",
    ),
    "noise that goes by the split": (
        "class Bad(OnDevice):\n    def on_device(self, devices, reporting, round_, size, scale):\n"
        "        return np.full(size, devices.first + 1)\n",
        "must give in on_device(...) the same noise however the fleet is cut",
    ),
    "noise on the device that it does not own up to": (
        "class Bad(OnDevice):\n    noise_on_device = False\n    def __init__(self, *given):\n"
        "        object.__setattr__(self, 'settings', given[0])\n"
        "        object.__setattr__(self, 'proof', given[1])\n",
        "must say noise_on_device, as on_device(...) gives noise",
    ),
    "a bound that is too small": (
        _STATED + "        return (Bound(bound.adversary, bound.unit, bound.epsilon / 2, bound.delta),)\n",
        "must state no smaller epsilon than its event comes to: 2.5 over 2 rounds, where ",
    ),
    "no bound": (
        _STATED + "        return ()\n",
        "must give one Bound or more in spent(...), as a tuple",
    ),
    "an event that nobody accounts for": (
        "import attr, dp_accounting\n@attr.define(frozen=True)\n"
        "class Shuffled(dp_accounting.DpEvent):\n    event: dp_accounting.DpEvent\n"
        "class Bad(OnDevice):\n    def event(self, rounds):\n"
        "        return Shuffled(super().event(rounds))\n",
        "mechanism: no accountant covers Shuffled of SelfComposedDpEvent of PoissonSampledDpEvent of ",
    ),
    "another one when it is made again": (
        "class Bad(OnDevice):\n"
        "    sigma = property(lambda self: 1.0 if self.settings.noise_multiplier else 2.0)\n",
        "must come out the same when it is made again with settings.noise_multiplier",
    ),
}

WORLDS = {
    "lacks a method": (
        "class Bad: ...\n",
        "must have name; docs/how-to/world.md shows one",
    ),
    "fails": (
        "def Bad():\n    return [][1]\n",
        "must not fail: IndexError: list index out of range on line ",
    ),
    "texts that are none": (
        "def Bad():\n    return Dishes(load().public, texts=())\n",
        "must have a tuple of one text or more as texts",
    ),
    "nothing to evaluate on": (
        "class Bad(Dishes):\n    def __init__(self):\n        super().__init__(load().public)\n"
        "    evaluation_text = property(lambda self: np.zeros(len(self.texts), np.bool_))\n",
        "must mark a text in evaluation_text: without one nothing is evaluated",
    ),
    "evaluation texts that are not marked": (
        "class Bad(Dishes):\n    def __init__(self):\n        super().__init__(load().public)\n"
        "    def sessions(self, block, round_, kind):\n"
        "        return super().sessions(block, round_, s.Kind.LEARNING)\n",
        "must mark in evaluation_text each text that evaluation sessions use",
    ),
    "sessions that go by the split": (
        "class Bad(Dishes):\n    def __init__(self):\n        super().__init__(load().public)\n"
        "    def favourite(self, block):\n"
        "        return np.arange(block.devices.count, dtype=np.int32)\n",
        "must give the same sessions however the fleet is cut; text differs",
    ),
    "items that are not there": (
        "class Bad(Dishes):\n    def __init__(self):\n        super().__init__(load().public)\n"
        "    def history(self, block):\n        old = super().history(block)\n"
        "        return s.Requests(old.text, old.item + 40)\n",
        "must keep history's item from -1 to 39, not ",
    ),
}

_LEARNING = (
    "from fedbert.selection.oort import Oort\n"
    "@dataclass(frozen=True)\nclass Bad(Oort):\n    name: str = 'bad'\n"
)
SELECTIONS = {
    "lacks make": ("class Bad: reveals = 'public'\n", "must name something that can be called, not NoneType"),
    "lacks a method": (
        "class Bad:\n    reveals, looks_at, name = 'public', 'nothing', 'bad'\n"
        "    @classmethod\n    def make(cls, settings):\n        return cls()\n",
        "must have chances; docs/how-to/selection.md shows one",
    ),
    "fails": (
        "class Bad(Fresh):\n    def chances(self, known):\n        return 1 / 0\n",
        "must not fail: ZeroDivisionError: division by zero on line ",
    ),
    "chances of a wrong type": (
        "class Bad(Fresh):\n    def chances(self, known):\n        return known.ready\n",
        "must give float64[12] as chances(...), not bool[12]",
    ),
    "chances beyond 1": (
        "class Bad(Fresh):\n    def chances(self, known):\n        return 2 * super().chances(known)\n",
        "must give chances within 0..1",
    ),
    "chances that are no numbers": (
        "class Bad(Fresh):\n    def chances(self, known):\n        return np.nan * super().chances(known)\n",
        "must give chances within 0..1",
    ),
    "a chance that looks at its neighbours": (
        "class Bad(Fresh):\n    def chances(self, known):\n"
        "        return super().chances(known) / (1 + known.ready.sum())\n",
        "must give a device the same chance whichever others are asked for with it",
    ),
    "an unknown word": (
        "class Bad(Fresh):\n    reveals = 'little'\n",
        "must say reveals as 'nothing', 'public' or 'private', not 'little'",
    ),
    "no words": (
        "@dataclass(frozen=True)\nclass Bad(Fresh):\n    looks_at: str = ''\n",
        "must have a line of",
    ),
    "learns without the names": (
        "class Bad(Fresh):\n    reveals = 'private'\n",
        "must have columns, as it reveals private data",
    ),
    "says another thing than its class": (
        "class Bad(Fresh):\n    reveals = 'public'\n    @classmethod\n    def make(cls, settings):\n"
        "        made = cls()\n        object.__setattr__(made, 'reveals', 'nothing')\n"
        "        return made\n",
        "must say reveals as an attribute of the class, the same in what it makes",
    ),
    "memory of a wrong type": (
        _LEARNING + "    def remember(self, known, done):\n"
        "        return super().remember(known, done).astype(float)\n",
        "must give int32[12, 3] as remember(...), not float64[12, 3]",
    ),
    "sums below zero": (
        _LEARNING + "    def sums(self, known, reported):\n        return -super().sums(known, reported)\n",
        "must add 0 to 10,000,000 a device to an entry in sums(...)",
    ),
    "sums that look at the cut": (
        _LEARNING
        + "    def sums(self, known, reported):\n        return super().sums(known, reported) + 1\n",
        "must give in sums(...) the same sums however the fleet is cut",
    ),
    "announces no numbers": (
        _LEARNING + "    def announce(self, announced, sums, round_):\n        return announced * np.inf\n",
        "must announce finite numbers",
    ),
}
SILENT_SELECTIONS = "class Private(Fresh):\n    reveals = 'private'\nclass Silent:\n    make = Fresh.make\n"
