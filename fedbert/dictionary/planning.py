"""What is in the files of a trade-off grid and of a capacity forecast."""

from fedbert.dictionary.run import DEVICE_ERRORS

_KEYS = """
signal | text | | setting | what a device sends; public: nothing
mechanism | text | | setting | how sums are made private
privacy_mode | text | | setting | none, central or local: where the noise is added
budget | text | | setting | epsilon as text, or "none"
epsilon | float? | | setting | epsilon that was asked for; missing: not private
delta | float | | setting | chance that the guarantee does not hold
noise_multiplier | float? | | proved | standard deviation of the noise over the clip norm
epsilon_spent | float? | | proved | what the run came to, against who sees releases and noisy sums
epsilon_unamplified | float? | | proved | the same against who also sees which devices take part
epsilon_spent_*_days | float? | | proved | epsilon_spent after 1, 30 or 365 days of the same
epsilon_unamplified_*_days | float? | | proved | epsilon_unamplified after as many days
bytes_per_report | int | bytes | measured | size of one report
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
hour | int? | h | record | local hour, for figures by hour
tier | text? | | record | device tier, for figures by tier
unit | text | | record | unit of value, low and high
value | float? | | modelled | best guess; missing: not reached within the horizon
low | float? | | modelled | lower end of the 95 % interval; missing: plain arithmetic
high | float? | | modelled | upper end of the same interval
label | text | | record | measured or modelled
assumption | text | | record | what the figure rests on
"""

CAPACITY = f"""
schema | int | | record | version of this file's shape
command | text | | record | the command as it was typed
plan.devices | int | devices | setting | size of the fleet
plan.release_bits_per_s | float | bit/s | setting | bandwidth cap of release downloads
plan.reports_per_round | int | reports | setting | reports that a round wants
plan.rounds_per_day | float | 1/day | setting | rounds per day
plan.releases_per_day | float | 1/day | setting | releases offered to the fleet per day
plan.release_hour | float | h | setting | local hour of the first release of a day
plan.over_selection | float | | setting | reports expected at a mean hour over reports wanted
plan.model_spread | float | | setting | 95 % spread of modelled odds and costs
plan.seed | int | | setting | seed of the draws
sampling_probability | float | | modelled | chance that a device joins a round of the fleet
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
"""

TRADEOFF = f"""
schema | int | | record | version of this file's shape
command | text | | record | the command as it was typed
{DEVICE_ERRORS.strip()}
"""
