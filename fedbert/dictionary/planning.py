"""What is in the files of a trade-off grid and of a capacity forecast."""

from fedbert.dictionary.run import DEVICE_ERRORS

_KEYS = """
signal | text | | setting | what a device sends; public: nothing
mechanism | text | | setting | how sums are made private
privacy_mode | text | | setting | none, central or local: where the noise is added
budget | text | | setting | epsilon as text, or "none"
epsilon | float? | | setting | epsilon that was asked for; missing: not private
devices | int | phones | setting | phones that were run
noise_devices | int | phones | setting | phones whose noise they got; more than devices with --noise-cohort
delta | float | | setting | chance that the guarantee does not hold
noise_multiplier | float? | | proved | standard deviation of the noise over the clip norm
epsilon_spent | float? | | proved | what the run came to, against who sees releases and noisy sums
epsilon_unamplified | float? | | proved | the same against who also sees which devices take part
epsilon_spent_*_days | float? | | proved | epsilon_spent after 1, 30 or 365 days of the same
epsilon_unamplified_*_days | float? | | proved | epsilon_unamplified after as many days
bytes_per_report | int | bytes | measured | size of one report
attack_epsilon | float? | | measured | the audit's largest lower bound, participation seen; missing: no audit
exposed_items | float? | share | measured | clicked items that reports without their masks give away
"""

_FIGURES = """
ndcg@10 | float | 0..1 | measured | final release, every session scored from text, history and user model
auc | float | 0..1 | measured | the same as AUC
text_only_ndcg@10 | float | 0..1 | measured | final release, from the text alone
text_only_auc | float | 0..1 | measured | the same as AUC
release_0_ndcg@10 | float | 0..1 | measured | release 0 on the same sessions
release_0_auc | float | 0..1 | measured | the same as AUC
pooled_ndcg@10 | float | 0..1 | measured | pooled-data bound on the same sessions
pooled_auc | float | 0..1 | measured | the same as AUC
closed | float? | share | measured | (final - release 0) / (pooled - release 0), in nDCG@10
text_only_closed | float? | share | measured | the same from the text alone
seen_ndcg@10 | float? | 0..1 | measured | last round as users saw it: default order where nothing was scored
*_seen_ndcg@10 | float? | 0..1 | measured | a tier's sessions over the whole run, as users saw them
*_scored_ndcg@10 | float? | 0..1 | measured | of these, the sessions that were scored in time
*_release_0_ndcg@10 | float? | 0..1 | measured | a tier's sessions, every one scored by release 0
*_final_ndcg@10 | float? | 0..1 | measured | a tier's sessions, every one scored by the final release
*_pooled_ndcg@10 | float? | 0..1 | measured | a tier's sessions, every one scored by the pooled-data bound
"""

CELLS = f"""
{_KEYS.strip()}
seed | int | | setting | seed of the run
{_FIGURES.strip()}
wall_s | float | s | measured | time of the run
"""

FRONTIER = f"""
{_KEYS.strip()}
seeds | int | | record | number of runs in the row
*_low | float? | | measured | lower end of a figure's 95 % interval, Student's t over seeds
*_high | float? | | measured | upper end of the same interval
{_FIGURES.strip()}
ndcg@10_minus_no_privacy | float? | -1..1 | measured | ndcg@10 minus that of the arm without noise, by seed
ndcg@10_minus_public_only | float? | -1..1 | measured | ndcg@10 minus that of the arm `public`, by seed
ndcg@10_minus_no_update | float? | -1..1 | measured | ndcg@10 minus that of release 0
auc_minus_no_privacy | float? | -1..1 | measured | the same as AUC
auc_minus_public_only | float? | -1..1 | measured | the same as AUC
auc_minus_no_update | float? | -1..1 | measured | the same as AUC
"""

FORECAST = """
forecast | text | | record | name of the figure
hour | int? | h | record | local hour, or UTC of a plan with time zones, for figures by hour
tier | text? | | record | device tier, for figures by tier
unit | text | | record | unit of value, low and high
value | float? | | modelled | best guess; missing: not reached within the horizon
low | float? | | modelled | lower end of the 95 % interval; missing: plain arithmetic
high | float? | | modelled | upper end of the same interval
label | text | | record | measured or modelled
assumption | text | | record | what the figure rests on
note | text | | record | why there is no figure, or what its interval is held by; empty: nothing to say
"""

CAPACITY = f"""
schema | int | | record | version of this file's shape
command | text | | record | the command as it was typed
plan.devices | int | devices | setting | size of the fleet
plan.release_bits_per_s | float | bit/s | setting | bandwidth cap of release downloads
plan.reports_per_round | int | reports | setting | reports that a round wants
plan.rounds_per_day | float | 1/day | setting | rounds per day
plan.releases_per_day | float | 1/day | setting | releases offered to the fleet per day
plan.release_hour | float | h | setting | hour of the first release of a day; UTC where zones are given
plan.over_selection | float | | setting | reports expected at a mean hour over reports wanted
plan.model_spread | float | | setting | 95 % spread of modelled odds and costs
plan.seed | int | | setting | seed of the draws
plan.schedule | text | | setting | steady, or run: releases as they were due in the run
plan.sessions_per_day | float | 1/day | setting | sessions of a phone in a day
plan.download_bytes | float | bytes | setting | size of a release as it is downloaded
plan.check_in_bytes | float | bytes | setting | bytes of a check-in, each way
plan.connection_bytes | float | bytes | setting | bytes that TLS and headers add to a transfer, each way
plan.releases_kept | int? | releases | setting | newest releases that are stored; null: every one of a year
plan.download_s | float? | s | setting | for how long a download is open at the server
plan.records_days | float? | days | setting | days for which the figures of rounds are stored
plan.world.zones[].offset_hours | float | h | setting | how far a time zone is ahead of UTC
plan.world.zones[].share | float | share | setting | phones in it
plan.world.weekday_factors | list? | | setting | eligible and unmetered phones over a mean day's, from Monday
plan.world.stages[].share | float | share | setting | phones that are offered a release from the stage on
plan.world.stages[].hours | float? | h | setting | until the next stage; null: the last
plan.world.halt_after_stage | int? | | setting | stage after which a bad release is halted
plan.world.roll_back_after_stage | int? | | setting | stage after which it is rolled back
plan.world.days | int? | days | setting | horizon of the plan; null: a mean day alone
plan.world.growth_percent_per_month | float? | % | setting | growth of the fleet
plan.world.metered_share | float? | share | setting | phones off Wi-Fi that fetch there, too
plan.world.tier_bytes[].tier | text | | setting | a tier with a release size of its own
plan.world.tier_bytes[].bytes | float | bytes | setting | that size
sampling_probability | float | | modelled | chance that a device joins a round of the fleet
alerts[].alert | text | | record | what the plan does not carry; none: it carries all that is checked
alerts[].unit | text | | record | unit of value and limit
alerts[].value | float | | modelled | number of the best guess
alerts[].limit | float | | setting | number that would raise no alert
alerts[].change | text | | record | the flag to change, with a value where one is found
alerts[].text | text | | record | the same in a sentence
privacy.mechanism | text | | setting | how sums are made private, as in the run
privacy.noise_multiplier | float? | | proved | the run's; null: not private
privacy.delta | float | | setting | chance that the guarantee of the plan does not hold
privacy.guarantees[].adversary | text | | proved | what the adversary sees; the weakest adversary comes first
privacy.guarantees[].epsilons | list | | proved | epsilon of the plan after 1, 30 and 365 days
privacy.guarantees[].budget_epsilon | float? | | proved | epsilon of the plan after the days of the budget
privacy.why | text | | record | why no epsilon is known; empty: it is
privacy.budget_epsilon | float? | | setting | the run's budget; without one, its epsilon
privacy.budget_days | float? | days | setting | days that it is for; without one, those of the run
privacy.spent_epsilon | float? | | proved | what the plan spends in them, against the budget's adversary
privacy.quality | float? | nDCG@10 | measured | final release of the run; null: see quality_why
privacy.quality_low | float? | nDCG@10 | measured | lower end of its 95 % interval
privacy.quality_high | float? | nDCG@10 | measured | upper end of the same interval
privacy.loss.value | float? | nDCG@10 | measured | against no privacy at the plan's noise; null: see why
privacy.loss.low | float? | nDCG@10 | measured | lower end of its 95 % interval
privacy.loss.high | float? | nDCG@10 | measured | upper end of the same interval
privacy.loss.seeds | int? | seeds | record | the fewest of the arms that it is read from
privacy.loss.why | text? | | record | why it is not known; empty: it is
privacy.quality_why | text | | record | why the plan's quality is not known; empty: it is
goals[].goal | text | | setting | a goal that the plan was found for; none: it was given
goals[].value | float | | modelled | what its best guess comes to
goals[].found | text | | record | the flags that were found
prices[].price | text | | record | key of the prices file; none: without prices
prices[].value | float | | setting | its number
prices[].date | text | | record | day on which its source had it
prices[].source | text | | record | where it is from
prices[].above_tb_per_month | list? | | setting | [terabytes a month, the price of what is beyond]
priced_by | text? | | record | whose prices they are, of which region and days; empty: without prices
servers.calibration | text? | | record | whose measured costs servers rest on, and how this machine differs
servers.utilisation | float? | share | setting | share of their cores that servers use at their busiest
assumption | text | | record | what every figure assumes
run.name | text | | record | the run that the forecast is from
run.seed | int | | record | its seed
run.commit | text? | | record | its commit
run.devices | int | devices | record | its devices
run.days | float | days | record | its simulated days
run.rounds | int | rounds | record | its rounds
run.rounds_per_day | float | 1/day | record | its rounds per day
run.releases_per_day | float | 1/day | measured | its releases per day
run.sampling_probability | float | | setting | chance that a device joined a round of it
run.release_bytes | float | bytes | measured | size of a release
run.report_bytes | float | bytes | measured | size of a report
run.seen_share | float | share | modelled | largest share of fetching devices that one release reached
run.tier_ndcg.* | list | nDCG@10 | measured | quality by tier, in the order of the report's columns
{"".join(f"run.{line}" + chr(10) for line in DEVICE_ERRORS.strip().splitlines()).strip()}
{"".join(f"forecasts[].{line}" + chr(10) for line in FORECAST.strip().splitlines()).strip()}
rollout.hours | list | h | record | hours since the release
rollout.share | list | share | modelled | share of the fetching devices that have it, under the bandwidth cap
rollout.low | list | share | modelled | lower end of the 95 % interval
rollout.high | list | share | modelled | upper end of the same interval
rollout.without_cap.share | list | share | modelled | the same if every device that asks is served at once
rollout.without_cap.low | list | share | modelled | lower end of the 95 % interval
rollout.without_cap.high | list | share | modelled | upper end of the same interval
rollout.stopped.share | list? | share | modelled | fetching devices with a release that is stopped
rollout.stopped.low | list? | share | modelled | lower end of the 95 % interval
rollout.stopped.high | list? | share | modelled | upper end of the same interval
basis.control_share | float? | share | setting | devices that stay on release 0
basis.once_a_day | bool? | | setting | whether a device joins one round a day at most
basis.moved_ratio | float? | | measured | bytes moved for a download over those of a release
basis.moved_bytes | float? | bytes | measured | bytes moved for a download
basis.download_attempts | float? | | modelled | attempts for a download
basis.upload_attempts | float? | | modelled | attempts for a report
basis.sessions_per_day | float? | 1/day | setting | sessions of a device of the run
basis.downloads_per_day | float? | 1/day | modelled | downloads of a device of the run
basis.reports_per_day | float? | 1/day | modelled | reports of a device of the run
basis.eligible | list? | share | modelled | eligible devices by local hour
basis.fetch_rate | list? | 1/h | modelled | fetches of an often connected device behind, by local hour
basis.frailty | list? | | modelled | share of devices that seldom are, and their rate over that of the others
basis.reporting | list? | share | modelled | reports of a round over the devices that join it, by local hour
basis.report_share | float? | share | modelled | mean of that over the day, which the cohort is planned with
basis.due_hours | list? | h | measured | when the run's releases were due, since it began
basis.early_downloads | list? | 1/day | modelled | downloads of release 0 by local hour, a device
basis.servers.costs.* | float? | | measured | a figure of the calibration by its name, whose end is its unit
basis.servers.report_bytes | float? | bytes | measured | size of the report that takes the memory
basis.servers.cores | int? | | record | cores of a machine
basis.servers.memory_bytes | float? | bytes | record | memory of a machine
basis.servers.download_s | float? | s | setting | for how long a download is open
basis.servers.releases_kept | int? | releases | setting | newest releases stored; null: all of a year
basis.servers.records_days | float? | days | setting | days for which the figures of rounds are stored
basis.servers.record_bytes_per_round | float? | bytes | measured | figures of a round in run.json
basis.tiers[].name | text | | record | a device tier
basis.tiers[].share | float | share | record | its share of the devices
basis.tiers[].session_ms | float | ms/day | modelled | computing of its sessions, a device
basis.tiers[].install_ms | float | ms/day | modelled | computing of its installs, a device
basis.tiers[].installs_per_day | float | 1/day | modelled | installs of a device
basis.tiers[].mah_per_day | float | mAh/day | modelled | charge of a device
basis.tiers[].battery_percent_per_day | float | %/day | modelled | the same in per cent of the battery
basis.tiers[].energy_mj_per_day_by.* | float | mJ/day | modelled | energy of a device by what it is spent on
basis.waits | bool? | | setting | whether a day's rounds are opened as one sum
basis.round_spread | float? | | modelled | relative standard deviation of a round's reports beyond chance
basis.privacy.noise_multiplier | float? | | proved | the run's noise; null: no epsilon of the plan is known
basis.privacy.delta | float? | | setting | delta as asked for; null: by the fleet
basis.privacy.guarantees[].adversary | text | | proved | what the adversary sees
basis.privacy.guarantees[].rule | text | | proved | one Gaussian that epsilon is of, or the command's account
"""

_READING = """
value | float? | -1..1 | measured | difference in nDCG@10, read at the planned noise; missing: not measured
low | float? | -1..1 | measured | lower end of the 95 % interval; missing: not known
high | float? | -1..1 | measured | upper end of the same interval
seeds | int? | | record | the fewest seeds of the arms that it is read from
why | text | | record | why there is no figure; empty where there is one
"""


def _within(name: str, table: str) -> str:
    """Return a table's lines as those of the keys inside `name`."""
    return "\n".join(f"{name}.{line}" for line in table.strip().splitlines())


BUDGET = f"""
schema | int | | record | version of this file's shape
command | text | | record | the command as it was typed
plan.epsilon | float | | setting | privacy budget of all the days together
plan.days | int | days | setting | days that the budget is for
plan.delta | float? | | setting | delta as asked for; missing: 1e-6 or less, by the fleet
plan.devices | int | devices | setting | size of the fleet
plan.round_hours | float | h | setting | hours between two rounds
plan.sampling_probability | float | | setting | chance that a device joins a round, over-selection included
plan.release_every | int | rounds | setting | rounds between two releases
plan.availability | text | | setting | when phones can take part
plan.shares.in_time | float | share | modelled | of those that join a round, reports in it; mean over a day
plan.shares.by_opening | float | share | modelled | the same until the sum of a day is opened
plan.signal | text | | setting | the signal whose differences are read
delta | float | | setting | chance that the guarantee does not hold, for this fleet
rounds | int | rounds | setting | rounds of the whole budget
chosen | text? | | modelled | mechanism with the least noise of the first day's mean, participation seen
frontier_rounds | int? | rounds | record | rounds of the frontier's runs; missing: no frontier
planned[].mechanism | text | | setting | how sums are made private
planned[].participation | text | | setting | whether the adversary sees who takes part: seen, or not seen
planned[].adversary | text | | record | the same in words
planned[].noise_multiplier | float | | proved | least noise that keeps the budget, over the clip norm
planned[].epsilon | float | | proved | epsilon of the whole budget's rounds with it
planned[].epsilon_1_days | float | | proved | epsilon of a day of the same noise
planned[].epsilon_30_days | float | | proved | epsilon of 30 days
planned[].epsilon_365_days | float | | proved | epsilon of 365 days
planned[].cycle_rounds | int | rounds | setting | rounds up to the first release
planned[].cycle_epsilon | float | | proved | epsilon of these rounds
planned[].round_reports | float | reports | modelled | reports expected in a round
planned[].cycle_reports | float | reports | modelled | reports expected up to the first release
planned[].day_noise | float? | clip norms | modelled | noise of the mean, a coordinate, of the first day
planned[].horizon_noise | float? | clip norms | modelled | the same of all rounds of the budget
planned[].frontier_noise | float? | clip norms | modelled | the same of as many rounds as the frontier's runs
{_within("planned[].loss", _READING)}
{_within("planned[].gain", _READING)}
planned[].free.devices | int? | devices | modelled | fleet from which no loss against no privacy is resolved
{_within("planned[].free", _READING)}
refused[].mechanism | text | | setting | a mechanism that the budget is out of reach of
refused[].participation | text | | setting | against which adversary
refused[].why | text | | record | why
arms[].frontier | text | | record | folder of the grid
arms[].signal | text | | setting | what a device sends
arms[].mechanism | text | | setting | how sums are made private
arms[].epsilon | float | | proved | epsilon of the run, participation seen
arms[].devices | int | devices | record | phones that were run
arms[].noise_devices | int | devices | record | phones whose noise they had
arms[].seeds | int | | record | runs of the arm
arms[].noise | float | clip norms | modelled | noise of the mean, a coordinate, over the run
arms[].loss | list | -1..1 | measured | nDCG@10 minus that of no privacy: value, low, high
arms[].gain | list | -1..1 | measured | nDCG@10 minus that of public texts alone: value, low, high
"""

TRADEOFF = f"""
schema | int | | record | version of this file's shape
command | text | | record | the command as it was typed
{DEVICE_ERRORS.strip()}
"""

COMPARE = """
schema | int | | record | version of this file's shape
command | text | | record | the command as it was typed
kind | text | | record | what was compared: run, tradeoff or capacity
same | int | | record | settings, versions and facts of model and world that all variants share
variants[].letter | text | | record | name of a variant; A is the reference
variants[].folders | list | | record | folders that it is read from
variants[].names | list | | record | names of its runs; of a forecast its devices
variants[].seeds | list | | record | its seeds
variants[].runs | int | | record | its runs, cells or forecasts
variants[].changed | bool | | record | whether its code had changes that its commit does not have
settings[].group | text | | record | scenario, versions, model, world, execution, machine, plan or run
settings[].key | text | | record | a setting or fact that is not the same in all variants
settings[].values | list | | record | its text in each variant, in order; null: not in that one
pairs[].variant | text | | record | the variant that is held against A
pairs[].seeds | list | | record | seeds that both have
pairs[].arms | list | | record | arms of a grid that both have; one without a name elsewhere
pairs[].arms_of_one | list | | record | arms that only one of them has
results[].variant | text | | record | the variant that is held against A
results[].arm | text | | record | arm of a grid; empty elsewhere
results[].figure | text | | record | name of the figure
results[].group | text | | record | chapter that it stands in
results[].hour | int? | h | record | local hour, for figures of a forecast by hour
results[].unit | text | | record | unit of the figures; empty: a number
results[].label | text | | record | measured, modelled or proved
results[].main | bool | | record | whether the comparison is read for it: corrected apart from the others
results[].reference | float? | | measured | figure of A, mean over the compared seeds; missing: not known
results[].other | float? | | measured | the same of the variant
results[].difference | float? | | measured | variant minus A; missing: not known in both
results[].low | float? | | measured | lower end of its 95 % interval; missing: none
results[].high | float? | | measured | upper end of the same interval
results[].p_value | float? | | measured | that of the test of the interval; missing: none
results[].seeds | int | | record | pairs behind it; unpaired: runs of the side with fewer
results[].method | text | | record | paired, unpaired, one run each, same run, or none
results[].verdict | text | | record | effect, unsure, chance, one seed, no interval, exact, equal or missing
results[].why | text | | record | why an interval or a figure is missing; empty elsewhere
"""

SERVERS = """
schema | int | | record | version of this file's shape
command | text | | record | the command as it was typed
versions.* | text | | record | versions of fedbert, Python and packages
machine.name | text | | record | what the machine is called
machine.architecture | text | | record | architecture of its processor
machine.cores | int | | record | cores that the process may use
machine.memory_bytes | int | bytes | record | memory of the machine
machine.instruction_sets | list | | record | instruction sets of the processor that a figure may depend on
model | text | | setting | the model of the measured release and update
report_bytes | int | bytes | measured | a phone's masked vector, as the aggregator was given it
release_bytes | int | bytes | measured | the release that was downloaded
costs[].cost | text | | record | what is spent, with its unit; times are CPU seconds of all threads
costs[].unit | text | | record | its unit
costs[].value | float | | measured | mean of the measurements
costs[].low | float? | | measured | lower end of its 95 % interval; missing: measured once
costs[].high | float? | | measured | upper end of the same interval
costs[].measured | int | | record | how often it was measured
costs[].how | text | | record | what was measured
checks[].part | text | | record | aggregator, downloads, check-ins or uploads
checks[].rate_per_s | float | 1/s | setting | how many of them a second
checks[].count | int | | setting | how many of them
checks[].bytes_each | int | bytes | setting | size of each; 0: a check-in has none
checks[].predicted_cpu_s | float | s | modelled | CPU time by the figures
checks[].measured_cpu_s | float | s | measured | CPU time that it took
memory_checks[].part | text | | record | aggregator, downloads, or check-ins and uploads
memory_checks[].count | int | | setting | reports or downloads at a time, beyond the least of the fit
memory_checks[].bytes_each | int | bytes | setting | size of each
memory_checks[].predicted_bytes | float | bytes | modelled | growth of resident memory by the figures
memory_checks[].measured_bytes | float | bytes | measured | growth that it had
"""

BACKTEST = """
schema | int | | record | version of this file's shape
command | text | | record | the command as it was typed
small | int | devices | setting | phones of the runs that the forecasts start from
seeds | int | | setting | pairs of a small and a large run
rounds | int | rounds | setting | rounds of every run
model_spread | float | | setting | 95 % spread of modelled odds and costs
summaries[].devices | int | devices | setting | phones of the large runs
summaries[].figures | int | | record | figures that were compared, over all seeds
summaries[].inside | float | share | measured | of these, simulated within the 95 % interval
summaries[].inside_low | float? | share | measured | lower end of its 95 % interval over seeds; missing: one
summaries[].inside_high | float? | share | measured | upper end of the same interval
summaries[].median_error | float | share | measured | median of absolute errors
summaries[].median_half_width | float | share | measured | median of half an interval over the forecast
summaries[].median_spread_half_width | float? | share | measured | the same of intervals with the model spread
summaries[].median_plan_half_width | float? | share | measured | the same with the device model's error, too
summaries[].systematic | list | | measured | figures that every seed misses on one side; three seeds at least
figures[].devices | int | devices | setting | phones of the large run
figures[].seed | int | | record | seed of the small run
figures[].forecast | text | | record | name of the figure
figures[].hour | int? | h | record | local hour, for figures by hour
figures[].tier | text? | | record | device tier, for figures by tier
figures[].unit | text | | record | unit of the figures
figures[].predicted | float | | modelled | best guess of the forecast
figures[].low | float | | modelled | lower end of its 95 % interval, of statistics alone
figures[].high | float | | modelled | upper end of the same interval
figures[].simulated | float | | modelled | as it came out in the large run
figures[].error | float? | share | measured | predicted over simulated minus 1; missing: simulated 0
figures[].inside | bool | | measured | whether it lies in the interval
figures[].spread_half_width | float? | share | modelled | half an interval with the model spread
figures[].plan_half_width | float? | share | modelled | the same with the device model's error, too
"""
