"""What is in the files of a run folder. Quality: mean over evaluation sessions, 20 candidates each."""

_METRICS = """
auc | float? | 0..1 | measured | area under the ROC curve, as users saw it; null: no session
mrr | float? | 0..1 | measured | mean reciprocal rank of the target item, as users saw it
ndcg@5 | float? | 0..1 | measured | nDCG over the first five places, as users saw it
ndcg@10 | float? | 0..1 | measured | nDCG over the first ten places, as users saw it
hit@1 | float? | 0..1 | measured | share of sessions whose first place is the target item, as users saw it
"""

_PLAIN_ROUND = f"""
round | int | | record | number of the round; 0 is the window before the first round
hour | float | h | setting | local hour at the end of the round
{_METRICS.strip()}
ndcg@10_low | float? | 0..1 | measured | lower end of the 95 % interval, null: too few
ndcg@10_high | float? | 0..1 | measured | upper end of the same interval
sessions | int | sessions | modelled | evaluation sessions in the round
users | int? | users | measured | real users that they are of; null: as many as devices
texts | int? | texts | measured | distinct texts that they are with
scored_ndcg@10 | float? | 0..1 | measured | over the sessions that were scored in time
control_ndcg@10 | float? | 0..1 | measured | scored sessions of the control group, which stays on release 0
control_ndcg@10_low | float? | 0..1 | measured | lower end of its 95 % interval; null: too few
control_ndcg@10_high | float? | 0..1 | measured | upper end of the same interval
control_sessions | int? | sessions | modelled | scored sessions of the control group
treated_ndcg@10 | float? | 0..1 | measured | scored sessions of all other devices
treated_ndcg@10_low | float? | 0..1 | measured | lower end of its 95 % interval; null: too few
treated_ndcg@10_high | float? | 0..1 | measured | upper end of the same interval
treated_sessions | int? | sessions | modelled | scored sessions of all other devices
epsilon | float? | | proved | spent so far, against who sees releases and noisy sums; null: not private
epsilon_unamplified | float? | | proved | spent so far, against who also sees which devices take part
cohort | int | devices | modelled | devices that were drawn for the round
eligible | int | devices | modelled | of these: idle, charging, on a link that may send
completed | int | devices | modelled | of these: neither late nor interrupted
dropped | int | devices | modelled | eligible less completed
reported | int | devices | modelled | of the completed: on the round's release, with clicks to report
signal_release | int | | record | the release whose signals the round sums
bytes_up | int | bytes | modelled | sent by devices, repeated attempts included
bytes_down | int | bytes | modelled | fetched by devices, repeated attempts included
downloads | int | | modelled | downloads of a release that succeeded
server_ndcg@10 | float? | 0..1 | measured | the server's student on public validation texts; null: none
released | int? | | measured | number of the release made in this round; null: none
gate | text | | measured | what the release gate said
round_status | text | | measured | "updated"; "gathered": its sum waits for a later round; or why it was held
loss | float? | | measured | cross-distillation loss after the update
participants | int? | devices | modelled | devices that tried to send a signal
energy_mj_per_participant | float? | mJ | modelled | all they spent in the round, mean over participants
wall_s | float | s | measured | time to compute the round
missing | int? | devices | measured | devices of shards that gave no answer; only where there were any
poisoned | int? | reports | modelled | of the reported: from poisoned phones; only with poisoned
poisoned_norm_share | float? | share | measured | norm of their sum over that of both sums; null: nothing sent
round_s | float? | s | modelled | from opening to closing; only where rounds close by the clock, as the next
late | int? | devices | modelled | eligible devices whose report came too late, or whose transfer failed
interrupted | int? | devices | modelled | eligible devices that their users took into use
lost | int? | devices | modelled | eligible devices that were not heard of again
buffers | int? | buffers | modelled | filled in the round; only where reports fill buffers, as the next five
buffered | int? | reports | modelled | left in the open buffer at the end
discarded | int? | reports | modelled | dropped from the open buffer, since a release came out
staleness_mean | float? | steps | modelled | of the server while a phone worked; null: no report was taken
weight_mean | float? | 0..1 | modelled | what phones weighed reports by: 1 / sqrt(1 + steps they knew of)
at_work | float? | devices | modelled | mean number at work at once, from opening to closing
"""

ROUND = f"""
{_PLAIN_ROUND.strip()}
outcomes.* | int | sessions | modelled | evaluation sessions: scored, too_slow, out_of_memory, no_release
installed.* | int | devices | modelled | devices by installed release, at the end of the round
staleness.* | int? | reports | modelled | by the server's steps while the phone worked; only with buffers
"""

LINE = f"""
{ROUND.strip()}
crc32 | text | | record | checksum of the rest of the line
"""

ROUNDS_TABLE = f"""
{_PLAIN_ROUND.strip()}
outcomes: * | int | sessions | modelled | evaluation sessions: scored, too_slow, out_of_memory, no_release
installed: * | int | devices | modelled | devices by installed release, at the end of the round
staleness: * | int? | reports | modelled | by the server's steps while the phone worked; only with buffers
"""

DEVICES = """
device | int | | record | number of the device, from 0
profile | text | | modelled | class of phone
tier | text | | modelled | entry, mid or flagship
free_memory_bytes | float | bytes | modelled | memory free to the feature
wifi_downlink_bits_per_s | float | bit/s | modelled | median downlink over Wi-Fi
wifi_uplink_bits_per_s | float | bit/s | modelled | median uplink over Wi-Fi
cellular_kind | text | | modelled | kind of the cellular link
cellular_downlink_bits_per_s | float | bit/s | modelled | median downlink over the cellular link
cellular_uplink_bits_per_s | float | bit/s | modelled | median uplink over the cellular link
speed_factor | float | | modelled | speed of the device over that of its class
"""

_TIERS = """
tiers.*.devices | int | devices | modelled | devices of the tier
tiers.*.sessions | int | sessions | modelled | evaluation sessions of the tier
tiers.*.quality.* | float? | 0..1 | measured | auc, mrr, ndcg@5, ndcg@10 and hit@1, as users saw them
tiers.*.scored_quality.* | float? | 0..1 | measured | the same over the sessions that were scored in time
tiers.*.outcomes.* | int | sessions | modelled | learning and evaluation sessions by outcome
tiers.*.latency_ms.* | float | ms | modelled | p50, p90, p95, p99 of answered sessions, in bins of 2 %
tiers.*.peak_memory_bytes.* | float | bytes | modelled | p50, p90, p95, p99 of memory, in bins of 2 %
tiers.*.energy_mj_per_session | float? | mJ | modelled | of sessions that ran: scored or too slow
tiers.*.energy_mj_per_round | float? | mJ | modelled | of a device in a round in which it sends a signal
tiers.*.energy_mj_per_round_by.* | float? | mJ | modelled | the same by sessions, installs, uploads, downloads
tiers.*.energy_mj_per_day_by.* | float? | mJ | modelled | of the tier's mean device per day, by the same
tiers.*.install_ms | float? | ms | modelled | encoding of catalogue and history, per installed release
tiers.*.installs_per_day | float? | installs | modelled | releases that the tier's mean device installs a day
tiers.*.mah_per_day | float | mAh | modelled | charge per device per day
tiers.*.battery_percent_per_day | float | % | modelled | the same of the tier's mean battery
tiers.*.device_ms_per_day | float | ms | modelled | computing time per device per day
tiers.*.taking_part.* | int? | devices | modelled | device-rounds: cohort, eligible, completed, reported
tiers.*.groups.* | list? | | modelled | sums by random group of the devices: counts, microseconds, microjoules
tiers.*.round_ends.* | int? | devices | modelled | asked devices by how rounds ended; only with a clock
tiers.*.round_s_by.* | float? | s | modelled | mean download, work and upload of reports that were taken
"""

_PRIVACY = """
privacy.mode | text | | setting | none, central or local: where the noise is added
privacy.mechanism | text? | | setting | name of the mechanism
privacy.bounds[].adversary | text | | proved | what the adversary sees; the weakest adversary comes first
privacy.bounds[].unit | text | | proved | what two neighbouring fleets differ by
privacy.bounds[].epsilon | float | | proved | bound over all rounds of the run
privacy.bounds[].delta | float | | setting | chance that the bound does not hold
privacy.statement | text | | proved | all of it in one line
privacy.sampler | text? | | setting | how a cohort is drawn, in results of before mechanisms said so
privacy.sampling_probability | float | | setting | chance that a device of the fleet joins a round
privacy.noise_multiplier | float? | | proved | deviation of the noise over the clip norm; local: on one report
privacy.clip_norm | float | | setting | largest norm of one device's signal
privacy.delta | float | | setting | chance that the guarantee does not hold
privacy.epsilon | float? | | proved | against who sees releases and noisy sums; null: not private
privacy.epsilon_unamplified | float? | | proved | against who also sees which devices take part
privacy.assumptions.* | text | | proved | what each epsilon assumes, and the unit
privacy.projections[].days | int | days | setting | horizon
privacy.projections[].epsilon | float | | proved | the same noise and rounds, up to the horizon
privacy.projections[].epsilon_unamplified | float | | proved | the same against the stronger adversary
privacy.release_cycle.rounds | int? | rounds | setting | rounds up to the first release that can be made
privacy.release_cycle.epsilon | float? | | proved | of these rounds, against who sees releases and noisy sums
privacy.release_cycle.epsilon_unamplified | float? | | proved | the same against the stronger adversary
privacy.epsilon_per_report | float? | | proved | of one report, where phones add the noise
privacy.noise_cohort | int? | | setting | phones that the bounds are for and whose noise is scaled to these
privacy.budget | text? | | setting | EPSILON/DAYS that the run may spend; missing: no limit
"""

_COMPARISON = """
comparison[].id | text? | | record | name of the system in code
comparison[].system | text | | record | name of the system in reports
comparison[].inputs | text | | record | texts and habits that it sees
comparison[].quality.* | float | 0..1 | measured | the five metrics, every evaluation session scored
comparison[].low | float? | 0..1 | measured | lower end of the 95 % interval of ndcg@10; null: too few
comparison[].high | float? | 0..1 | measured | upper end of the same interval
comparison[].sessions | int? | sessions | modelled | evaluation sessions that all systems rank
comparison[].users | int? | users | measured | real users that they are of; null: as many as devices
comparison[].texts | int? | texts | measured | distinct texts that they are with
comparison[].devices | int? | devices | record | first devices of the fleet, whose sessions they are
comparison[].tiers.*.* | float? | 0..1 | measured | the five metrics by device tier
gap.release_0 | float? | nDCG@10 | measured | release 0, scored from text, history and user model
gap.final | float? | nDCG@10 | measured | the final release
gap.pooled | float? | nDCG@10 | measured | the pooled-data bound
gap.closed | float? | share | measured | (final - release 0) / (pooled - release 0); null: see findings
gap.text_only_release_0 | float? | nDCG@10 | measured | release 0 from the text alone
gap.text_only_final | float? | nDCG@10 | measured | the final release from the text alone
gap.text_only_pooled | float? | nDCG@10 | measured | the pooled-data bound from the text alone
gap.text_only_closed | float? | share | measured | share of the gap that was closed, from the text alone
"""

_EVIDENCE = (
    ("value", "float?", "", "the figure; null: there is none"),
    ("low", "float?", "", "lower end of its 95 % interval; null: too little for one"),
    ("high", "float?", "", "upper end of the same interval"),
    ("sessions", "int?", "sessions", "evaluation sessions that carry it"),
    ("users", "int?", "users", "real users that they are of; null: as many as devices, or not counted"),
    ("texts", "int?", "texts", "distinct texts that they are with; null: not counted"),
    ("absent", "text?", "", "why there is no figure"),
)


def _evidence(path: str, unit: str, meaning: str) -> str:
    """Return the lines of a figure with its evidence (`fedbert.evidence.EvidenceRow`)."""
    return "\n".join(
        f"{path}.{key} | {kind} | {own or unit} | measured | {meaning}: {text}"
        for key, kind, own, text in _EVIDENCE
    )


_FINDINGS = f"""
findings.interval | text? | | record | what the intervals are of, as in "95% interval, resampling texts"
{_evidence("findings.figures.won", "nDCG@10", "final release minus release 0, same sessions")}
{_evidence("findings.figures.gap", "nDCG@10", "pooled-data bound minus release 0")}
{_evidence("findings.figures.closed", "share", "won / gap")}
{_evidence("findings.figures.text_only_won", "nDCG@10", "final minus release 0 from the text alone")}
{_evidence("findings.figures.text_only_gap", "nDCG@10", "pooled minus release 0 from the text alone")}
{_evidence("findings.figures.text_only_closed", "share", "won / gap from the text alone")}
findings.final | float? | nDCG@10 | measured | the final release, every session scored
findings.release_0 | float? | nDCG@10 | measured | release 0, every session scored
findings.pooled | float? | nDCG@10 | measured | the pooled-data bound, every session scored
findings.baselines[].id | text | | record | name of the baseline in code
findings.baselines[].system | text | | record | name of the baseline in reports
findings.baselines[].ndcg | float | nDCG@10 | measured | the baseline, every session scored
{_evidence("findings.baselines[].difference", "nDCG@10", "final release minus baseline, same sessions")}
{_evidence("findings.baselines[].pooled", "nDCG@10", "pooled-data bound minus baseline")}
findings.arms.first_round | int? | | measured | first round that began with a new release on a device
{_evidence("findings.arms.treated", "nDCG@10", "scored sessions of treated devices from that round on")}
{_evidence("findings.arms.control", "nDCG@10", "the same of the control group")}
{_evidence("findings.arms.difference", "nDCG@10", "treated minus control")}
findings.held[].rounds | list | | measured | rounds that were held for one reason
findings.held[].reason | text | | measured | the reason
findings.held[].advice | text | | record | flags to change; empty: none helps
findings.said.won | text? | | measured | what the model won, in words
findings.said.delivery | text? | | measured | quality as users saw it, first window and last round
findings.said.gap | text? | | measured | what share of the gap was closed, or why none is given
findings.said.arms | text? | | measured | whether treated devices and the control group differ
findings.said.baselines | text? | | measured | baselines that the final release is not shown to beat
findings.said.held | text? | | measured | rounds that were held, why, and what to change
"""

_AUDIT = """
audit.level | text? | | setting | quick or full
audit.significance | float? | 0..1 | setting | chance that a lower bound of this audit exceeds the truth
audit.family_level | float? | 0..1 | setting | chance that any check fails a sound run
audit.passed | bool? | | measured | whether no check found a fault
audit.failures | list? | | measured | what was found wrong, a text each
audit.note | text? | | record | why a part was left out
audit.bounds[].path | text | | record | through the mechanism's functions, or the real path
audit.bounds[].adversary | text | | record | what the attacker sees
audit.bounds[].canaries | int | devices | setting | canaries, each in or out by its own coin
audit.bounds[].rounds | int | rounds | setting | rounds that were attacked, and that the proof beside is of
audit.bounds[].epsilon | float | | measured | lower bound, the better of two ways
audit.bounds[].epsilon_one_run | float | | measured | lower bound that takes no canaries as independent
audit.bounds[].epsilon_sure | float | | measured | lower bound at the level at which a fault is called one
audit.bounds[].proved | float | | proved | upper bound for the same attacker and rounds
audit.bounds[].epsilon_without_noise | float | | measured | the first bound, had there been no noise
audit.noise[].test | text | | record | variance, whiteness over coordinates or rounds, shape
audit.noise[].p_value | float | 0..1 | measured | chance that sound noise is as far off
audit.noise[].measured | float | | measured | deviation over the claimed one; largest correlation; distance
audit.exposure.reports | int? | reports | measured | reports that were read without masks
audit.exposure.clicks | int? | texts | measured | different texts in each report, over all reports
audit.exposure.candidate_items | int? | items | setting | items among which they were sought
audit.exposure.candidate_texts | int? | texts | setting | texts among which they were sought
audit.exposure.items | float? | share | measured | clicked items that were named
audit.exposure.texts | float? | share | measured | clicked texts that were named
audit.wall_s | float? | s | measured | time of the audit
"""

_SELECTION = """
selection.name | text? | | setting | who of those that the mechanism lets join is asked
selection.reveals | text? | | setting | what that depends on: nothing, public attributes or private data
selection.statement | text? | | proved | what it costs in privacy, in a sentence
"""

_SIZES = """
sizes.sessions | int? | sessions | measured | evaluation sessions of each choice; with model auto alone
sizes.devices | int? | devices | record | phones that they are of
sizes.releases_per_day | float? | 1/day | measured | releases after the first that each choice is charged
sizes.rows[].model | text | | setting | auto, each phone the largest size that fits, or one size for all
sizes.rows[].devices | int | devices | modelled | phones that take this size with auto
sizes.rows[].bytes | float | bytes | measured | a release, mean over phones
sizes.rows[].outcomes.* | int | sessions | modelled | sessions by outcome, as if all phones had the release
sizes.rows[].scored_share | float | share | modelled | sessions scored in time
sizes.rows[].release_0 | float | nDCG@10 | measured | release 0, every session scored
sizes.rows[].final | float | nDCG@10 | measured | the final release, every session scored
sizes.rows[].seen_release_0 | float | nDCG@10 | measured | release 0, default order where not in time
sizes.rows[].seen_final | float | nDCG@10 | measured | the final release, default order where not in time
sizes.rows[].won.value | float? | nDCG@10 | measured | auto less this choice, final release as users see it
sizes.rows[].won.low | float? | nDCG@10 | measured | lower end of its 95 % interval; null: too few
sizes.rows[].won.high | float? | nDCG@10 | measured | upper end of the same interval
sizes.rows[].won.sessions | int? | sessions | measured | evaluation sessions behind it
sizes.rows[].won.users | int? | users | measured | users behind it; null: one for each device
sizes.rows[].won.texts | int? | texts | measured | distinct texts behind it
sizes.rows[].won.absent | text? | | record | why there is no figure; null: there is one
sizes.rows[].latency_p95_ms | float? | ms | modelled | 95th percentile of sessions that ran; null: none
sizes.rows[].memory_p95_bytes | float? | bytes | modelled | 95th percentile of the sessions' peaks
sizes.rows[].energy_mj_per_day | float | mJ | modelled | answers and releases of the mean phone, no signals
"""

_POISONED = """
unplaced.kept | float? | share | setting | share of public validation requests that the threshold keeps
unplaced.requests | int? | texts | record | public validation requests that chose the threshold
unplaced.sessions | int? | sessions | measured | evaluation sessions of the comparison
unplaced.release_0 | float? | share | measured | no name as near to the text, by release 0, mean over sizes
unplaced.final | float? | share | measured | the same by the final release
poisoned.share | float? | share | setting | chance that a phone of the fleet is poisoned
poisoned.attack | text? | | setting | what poisoned phones send: boost, flip, random or stuck
poisoned.factor | float? | | setting | its length over the clip norm
poisoned.coordinate_bound | float? | | setting | largest coordinate that is taken as proved; null: none is
poisoned.largest_coordinate | float? | | setting | the furthest from 0 that a coordinate can travel
poisoned.coordinate_bits | int? | bits | setting | a coordinate's range in bits: as proved, or the ring's 32
poisoned.reports | int? | reports | modelled | reports of poisoned phones, all rounds
poisoned.norm_share | float? | share | measured | norm of their sum over that of both sums, mean over rounds
poisoned.rounds_held | int? | rounds | measured | rounds held since their sum could not be that of its reports
"""

_VERIFIED = """
verified_devices[].device | int? | | record | number of the device; null: a budget drawn from the profile
verified_devices[].profile | text | | record | class of phone
verified_devices[].tokens | int | tokens | measured | length of the text that was encoded
verified_devices[].budget_bytes | int | bytes | modelled | memory the device may use
verified_devices[].predicted_bytes | int | bytes | modelled | peak that the model predicts
verified_devices[].predicted | text | | modelled | "fits" or "out of memory"
verified_devices[].seen | text | | measured | the same, as seen under a hard limit
verified_devices[].agrees | bool | | measured | whether the two agree
"""

DEVICE_ERRORS = """
device_errors.made_by | text? | | record | command that made the table
device_errors.engine | text? | | record | engine whose times are predicted; null: profiles of the run's own
device_errors.rows[].what | text | | record | set of measurements
device_errors.rows[].label | text | | record | label of the row
device_errors.rows[].rows | int | | measured | number of measurements
device_errors.rows[].median_error | float | share | measured | median of abs(predicted / measured - 1)
device_errors.rows[].within_10 | float | share | measured | share of rows within 10 %
device_errors.rows[].within_20 | float | share | measured | share of rows within 20 %
device_errors.rows[].within_30 | float | share | measured | share of rows within 30 %
device_errors.rows[].asked | float? | share | setting | median error that was aimed at
device_errors.rows[].note | text | | record | what to know about the row
device_errors.engines[].engine | text | | record | engine that was timed
device_errors.engines[].precision | text | | record | int8, half or float
device_errors.engines[].networks | text | | record | networks that were timed
device_errors.engines[].devices | text | | record | phones or boards, and threads, that they were timed on
device_errors.engines[].label | text | | record | label of the row
device_errors.engines[].rows | int | | measured | number of measurements
device_errors.engines[].factor_low | float | ratio | measured | smallest measured over predicted time
device_errors.engines[].factor_median | float | ratio | measured | median of it
device_errors.engines[].factor_high | float | ratio | measured | largest of it
device_errors.note | text? | | record | where the run's profiles are not those of the table
"""

RESULT = f"""
schema | int | | record | version of this file's shape
name | text | | record | world and number of devices
command | text | | record | the command as it was typed
seed | int | | setting | seed of every random number
started | text | UTC | record | when the run began, ISO 8601
versions.* | text | | record | versions of fedbert, Python and the packages that a figure may depend on
machine.processor | text? | | record | name of the processor
machine.architecture | text? | | record | architecture of the processor
machine.instruction_sets | list? | | record | those that decide how matrices are multiplied
machine.cores | int? | | record | cores that the process may use
machine.training_threads | int? | | record | threads of the server's training
machine.precision | text? | | record | precision of the server's teacher
commit | text? | | record | commit of the checkout; "+changes" if it differs
status | text | | record | "finished", or where the run was stopped
ended | text? | | record | why a finished run ended before its last round: its budget was spent
labels.* | text | | record | label of each group of figures
scenario.* | value? | | setting | every key of the scenario, as in scenario.toml
world.name | text | | setting | name of the world
world.items | int | items | measured | items in the catalogue
world.public_texts | int | texts | measured | texts that the server has
world.private_texts | int | texts | measured | texts of learning sessions, which only phones have
world.evaluation_texts | int | texts | measured | texts of evaluation sessions
world.users | int? | users | measured | users of the world; null: as many as devices
world.unknown_token_share | float? | 0..1 | measured | tokens of its texts that release 0 does not know
world.read.items.file | text? | | record | name of the file
world.read.items.rows | int? | rows | measured | all rows of the file
world.read.items.separator | text? | | measured | comma, tab or semicolon; null: Parquet
world.read.items.blank_lines | int? | lines | measured | blank lines, which are no rows
world.read.items.ignored_columns | list? | | measured | columns that nothing uses
world.read.interactions.file | text? | | record | name of the file
world.read.interactions.rows | int? | rows | measured | all rows of the file
world.read.interactions.separator | text? | | measured | comma, tab or semicolon; null: Parquet
world.read.interactions.blank_lines | int? | lines | measured | blank lines, which are no rows
world.read.interactions.ignored_columns | list? | | measured | columns that nothing uses
world.read.has_popularity | bool? | | measured | whether the catalogue says which items are popular
world.read.rows_used | int? | rows | measured | rows that make up the kept users' histories
world.read.rows_dropped.* | int? | rows | measured | rows left out, by reason
world.read.ids_mended.* | int? | rows | measured | rows whose ids were taken as the same, by what differs
world.read.users | int? | users | measured | users kept
world.read.users_dropped | int? | users | measured | users without two different items before the cut
world.read.users_evaluated | int? | users | measured | users with something after the cut
world.read.first | text? | UTC | measured | date of the first row
world.read.last | text? | UTC | measured | date of the last row
world.read.time_unit | text? | | measured | unit that the times were found in
world.read.split | text? | | setting | "date", or "own-time": each user's own rows are cut
world.read.cut | text? | UTC | measured | date of the cut; null with "own-time"
world.read.learning_share | float? | 0..1 | setting | share of the rows, by time, before the cut
world.read.min_rating | float? | | setting | rows rated lower are left out; null: every row is a click
world.read.shown.rows | int? | rows | measured | rows that say what the user chose from
world.read.shown.history_rows | int? | rows | measured | rows that do not: history, which is not ranked
world.read.shown.median_items | float? | items | measured | items of a list, the chosen one among them; median
world.read.shown.rows_filled | int? | rows | measured | lists with fewer than 20 items
world.read.shown.filled_share | float? | 0..1 | measured | places beside the chosen item that drawn items take
world.trace.table.file | text? | | record | name of the file
world.trace.table.rows | int? | rows | measured | all rows of the file
world.trace.table.separator | text? | | measured | comma, tab or semicolon; null: Parquet
world.trace.table.blank_lines | int? | lines | measured | blank lines, which are no rows
world.trace.table.ignored_columns | list? | | measured | columns that nothing uses
world.trace.phones | int? | phones | measured | phones in the trace
world.trace.days | int? | days | measured | days from the start of the trace to the end of its last row
world.trace.days_of_phone | list? | days | measured | from each phone's first row to its last, least first
world.trace.observed_hours | float? | h | measured | hours inside a row of any state, all phones
world.note | text? | | record | said where users are reused
model.name | text | | setting | model that the run starts from
model.bytes | int | bytes | measured | size of release 0 with vocabulary and manifest; of its largest size
model.coded_bytes | int? | bytes | measured | the same entropy coded; phones of a run fetch it uncoded
model.final_coded_bytes | int? | bytes | measured | the last release, entropy coded
model.sha256 | text | | measured | of release 0
model.final_sha256 | text? | | measured | of the last release
model.unreleased_sha256 | text? | | measured | of the server's student after the last round
model.dim | int | | measured | width of a text vector
model.vocabulary | int? | tokens | measured | tokens of the student; written by earlier versions
model.parameters | int? | | measured | parameters of the student
model.teacher.name | text? | | record | name of the teacher
model.teacher.sha256 | text? | | record | of the teacher's weights
model.public_validation_ndcg@10 | float? | 0..1 | measured | release 0 on public validation texts, all sizes
{_PRIVACY.strip()}
{"".join(f"rounds[].{line}" + chr(10) for line in ROUND.strip().splitlines()).strip()}
{_TIERS.strip()}
hours[].hour | int | h | record | local hour of the day, 0 to 23
hours[].idle | float | share | modelled | share of the fleet that is idle
hours[].charging | float | share | modelled | share that is charging
hours[].unmetered | float | share | modelled | share on an unmetered link
hours[].eligible | float | share | modelled | share that may take part in a round
hours[].sessions | float | share | modelled | share of the day's sessions
hours[].online | float? | share | modelled | share on a link of either kind; missing: an earlier version
hours[].eligible_unmetered | float? | share | modelled | share that may take part without metered links
{_COMPARISON.strip()}
{_FINDINGS.strip()}
latency_histogram.upper_ms | list | ms | modelled | upper edges of the bins
latency_histogram.* | list | sessions | modelled | sessions in each bin, by tier
memory_histogram.upper_bytes | list | bytes | modelled | upper edges of the bins
memory_histogram.* | list | sessions | modelled | sessions in each bin, by tier
secure_sum.devices_per_shard | int | devices | setting | devices whose masks were really run
secure_sum.dropped | text | | record | share of them that dropped out on purpose
secure_sum.equal | bool? | | measured | whether masked and plain sums were equal; null: no two phones reported
{_AUDIT.strip()}
{_SELECTION.strip()}
{_POISONED.strip()}
{_SIZES.strip()}
traffic.bytes_per_report | int | bytes | measured | size of one report
traffic.bytes_per_release | int | bytes | measured | size of one release; with model auto the expected mean
traffic.bytes_up | int | bytes | modelled | sent by devices in all rounds
traffic.bytes_down | int | bytes | modelled | fetched by devices in all rounds
traffic.upload_attempts | int? | | modelled | attempts to send a report
traffic.uploads_failed | int? | | modelled | reports given up after the last attempt
traffic.download_attempts | int? | | modelled | attempts to fetch a release
traffic.downloads_failed | int? | | modelled | downloads given up after the last attempt
totals.sessions | int | sessions | modelled | learning and evaluation sessions
totals.scored | int | sessions | modelled | of these: scored in time
totals.scored_share | float? | share | modelled | scored / sessions
totals.clicks | int? | clicks | modelled | clicks in learning sessions
totals.reports | int? | reports | modelled | reports that were summed
totals.downloads | int? | | modelled | downloads that succeeded
totals.devices_per_s | float | 1/s | measured | devices simulated per second, over all rounds
totals.missing_device_rounds | int? | | measured | devices times rounds of shards that gave no answer
{_VERIFIED.strip()}
{DEVICE_ERRORS.strip()}
execution.backend | text? | | record | where the shards ran
execution.shards | int? | | record | parts of the fleet
execution.resumed_rounds | int? | rounds | record | rounds that an earlier process had finished
execution.masks_checked | int? | devices | measured | devices whose masks were really run, all rounds
events[].round | int | | record | round in which a shard failed
events[].shard | int | | record | number of the shard; -1: a node that is none of the run's
events[].text | text | | record | what happened, in one line
timing_s.* | float | s | measured | time by stage
wall_s | float | s | measured | time of the whole run
peak_memory_bytes | int | bytes | measured | largest resident memory of the main process
"""
