"""What is in the files of a compression and of a measured host."""

MANIFEST = """
command | text | | record | the command that made the model
model | text | | record | what the model is
seed | int? | | setting | seed of the training
files.*.bytes | int | bytes | measured | size of a file of the model
files.*.sha256 | text | | measured | its hash, checked whenever the model is loaded
files.*.kind | text? | | record | of a head that tags words (tags) or labels pairs of texts (pairs)
shape.* | value | | setting | layers, widths, heads and vocabulary of the student
parameters | int | | measured | parameters of the student
precision | text? | | record | precision of the training
quantisation.* | value | | setting | bits of embeddings and weights, entropy coding
method.* | value? | | setting | method of cross-distillation and weights of its losses
teacher.name | text | | record | name of the teacher
teacher.sha256 | text | | record | of the teacher's weights
text_rules.* | value? | | record | how the teacher's tokeniser writes a text
tokens_per_request | float? | tokens | measured | mean length of a public request
unknown_token_share | float? | share | measured | share of tokens that are unknown
wide.buckets | int? | | setting | hashed n-grams of each task's wide part
wide.weight | float? | | setting | of the wide part's logits, chosen on validation texts
wide.taught_by | text? | | record | who taught the wide part: the labels, or models
wide.seed | int? | | setting | seed of its training
wide.deep_sha256 | text? | | record | hash of the model that was widened
wide.command | text? | | record | the command that widened it
scores.set | text | | record | texts of the scores below
scores.*.* | float | 0..1 | measured | accuracy or nDCG of teacher and student
space.of | text? | | record | student whose space this one's vectors are turned into
space.of_sha256 | text? | | record | of that student
space.before.texts_by_this | float? | 0..1 | measured | nDCG@10 of its texts over that one's names, before
space.before.names_by_this | float? | 0..1 | measured | nDCG@10 of that one's texts over its names, before
space.before.cosine | float? | | measured | mean cosine of the two vectors of a public text, before
space.after.texts_by_this | float? | 0..1 | measured | nDCG@10 of its texts over that one's names
space.after.names_by_this | float? | 0..1 | measured | nDCG@10 of that one's texts over its names
space.after.cosine | float? | | measured | mean cosine of the two vectors of a public text
trained_on.public_text_only | bool | | record | whether no private text was used
trained_on.tasks.* | text? | | record | hash of each task's texts
trained_on.sentences | int? | texts | record | general sentences
trained_on.made_texts | list? | texts | record | texts made from training texts, in two stages
trained_on.sources_sha256.* | text? | | record | hash of each file of public text
training.* | value? | | record | texts and steps of a model that runs start from
training.*.* | value? | | record | the same, by name
"""

SERVER = """
artefact | text | | record | hash of the model that this is the server's part of
teacher_sha256 | text | | record | of the teacher's weights
files.* | text | | record | hash of a file of the server's part
"""

_STAGES = """
stages[].stage | text | | record | name of the stage
stages[].bytes | int | bytes | measured | size of the model after the stage
stages[].accuracy.* | list? | 0..1 | measured | accuracy on test texts by task, one per seed
stages[].validation.* | list? | 0..1 | measured | the same on validation texts, which options are chosen by
stages[].seconds | float? | s | measured | time of the stage
stages[].cpu_seconds | float? | s | measured | processor time of the stage, all threads together
stages[].note | text? | | record | what to know about the stage
quantisation[].form | text | | record | bits of embeddings and weights
quantisation[].bytes | int | bytes | measured | size on disk
quantisation[].memory_bytes | int | bytes | measured | size once loaded
quantisation[].download_bytes | int? | bytes | measured | size of the download
quantisation[].accuracy.* | float | 0..1 | measured | accuracy on test texts by task
losses.* | list | | measured | losses of a training, in order
"""

_ABLATION = """
ablation.steps | int? | steps | setting | steps of each arm
ablation.texts | int? | texts | record | labelled texts of each arm
ablation.arms[].arm | text? | | setting | method
ablation.arms[].accuracy.* | list? | 0..1 | measured | accuracy on test texts by task, one per seed
ablation.arms[].seconds | list? | s | measured | time, one per seed
ablation.reference | text? | | record | arm that the others are compared with
ablation.differences[].arm | text? | | record | method
ablation.differences[].task | text? | | record | task
ablation.differences[].mean | float? | 0..1 | measured | mean difference from the reference
ablation.differences[].low | float? | 0..1 | measured | lower end of its 95 % interval, Student's t over seeds
ablation.differences[].high | float? | 0..1 | measured | upper end of the same interval
ablation.differences[].p | float? | | measured | p value of the paired test
"""

UNKNOWN = """
command | text | | record | the command that chose the threshold, empty in a saved copy
tasks.*.threshold | float | logits | setting | least score of a known text, chosen on validation texts
tasks.*.sha256 | text | | record | hash of the encoder, vocabulary and head that it holds for
tasks.*.figures.known | int | texts | measured | test texts that have a label
tasks.*.figures.unknown | int | texts | measured | test texts that have none
tasks.*.figures.* | float | 0..1 | measured | AUROC, and shares of these texts, as in compression.json
"""

_RIVALS = """
rivals.taught_by | text? | | record | who taught the rivals that are taught
rivals.made_texts | int? | texts | record | texts without a label by which these were taught
rivals.command | text? | | record | the command that put the rivals into the record
rivals.rows[].rival | text? | | record | the student, or a simpler model of its bytes
rivals.rows[].bytes | int? | bytes | measured | its size
rivals.rows[].texts_per_s | int? | 1/s | measured | from a text to its label, one thread
rivals.rows[].accuracy.* | float? | 0..1 | measured | accuracy on test texts by task
rivals.rows[].low.* | float? | 0..1 | measured | lower end of Wilson's 95 % interval over test texts
rivals.rows[].high.* | float? | 0..1 | measured | upper end of the same interval
rivals.rows[].accuracy_unseen.* | float? | 0..1 | measured | without test texts that a training set holds
rivals.rows[].ahead.*.mean | float? | 0..1 | measured | the student's accuracy minus the rival's
rivals.rows[].ahead.*.low | float? | 0..1 | measured | lower end of its 95 % interval, paired by text
rivals.rows[].ahead.*.high | float? | 0..1 | measured | upper end of the same interval
rivals.rows[].seconds | float? | s | measured | processor time of a rival's training
rivals.rows[].note | text? | | record | shape of a rival
rivals.parts[].rival | text? | | record | a part of a widened student, or a model beside it
rivals.parts[].bytes | int? | bytes | measured | its size
rivals.parts[].texts_per_s | int? | 1/s | measured | from a text to its label, one thread
rivals.parts[].*.* | float? | 0..1 | measured | accuracy and its interval, as of a rival
rivals.parts[].ahead.*.* | float? | 0..1 | measured | the student's accuracy minus its own, paired by text
rivals.parts[].note | text? | | record | what to know about it
"""

_UNKNOWN = """
unknown[].task | text? | | record | task whose unknown texts were told
unknown[].threshold | float? | logits | setting | least score of a known text, chosen on validation texts
unknown[].known | int? | texts | measured | test texts that have a label
unknown[].unknown | int? | texts | measured | test texts that have none
unknown[].auroc | float? | 0..1 | measured | chance that a known text scores higher than an unknown one
unknown[].false_kept_at_95 | float? | 0..1 | measured | unknown texts kept where 95 % of the known ones are
unknown[].accuracy | float? | 0..1 | measured | known texts that are right without a threshold
unknown[].known_right | float? | 0..1 | measured | known texts that are kept and right
unknown[].unknown_caught | float? | 0..1 | measured | unknown texts that are not kept
unknown[].joint | float? | 0..1 | measured | right ones of known and unknown texts
unknown[].command | text? | | record | the command that measured it
"""

_KINDS = """
kinds[].name | text? | | record | name of a set that is tagged or of pairs
kinds[].kind | text? | | record | tags of words, or labels of pairs of texts
kinds[].metric | text? | | record | what the figures are: accuracy, or F1 of entities (entity F1)
kinds[].test | int? | texts | measured | test texts or pairs
kinds[].teacher | float? | 0..1 | measured | the frozen teacher with the same head
kinds[].student | float? | 0..1 | measured | the frozen student
kinds[].share | float? | share | measured | student over teacher
kinds[].low | float? | share | measured | lower end of its 95 % interval, bootstrap over texts
kinds[].high | float? | share | measured | upper end of the same interval
kinds[].bytes | int? | bytes | measured | size of the student's head
"""

_SHAPES = """
search[].shape.* | value? | | setting | layers, widths and heads of a shape
search[].* | value? | | measured | its size, loss and speed
"""

SEARCH = f"""
command | text | | record | the command as it was typed
steps | int | steps | setting | steps of the pre-distillation of each shape
budget_bytes | int | bytes | setting | largest size of a model
{_SHAPES.strip()}
"""

COMPRESSION = f"""
title | text | | record | name of the model
command | text | | record | the command as it was typed
seeds | list | | setting | seeds of cross-distillation
whole_seeds | bool? | | setting | whether each seed has its own teachers and pre-distillation
budget_bytes | int | bytes | setting | largest size of the model
tasks[].name | text | | record | name of a task
tasks[].labels | int | labels | measured | its labels
tasks[].train | int | texts | measured | its training texts
tasks[].validation | int | texts | measured | its validation texts
tasks[].test | int | texts | measured | its test texts
teacher.name | text | | record | name of the teacher
teacher.sha256 | text | | record | of the teacher's weights
teacher.parameters | int | | measured | parameters of the teacher
teacher.bytes | int | bytes | measured | size of the teacher as floats
teacher.accuracy.* | float | 0..1 | measured | accuracy of the tuned teacher on test texts, by task
teacher.each[].* | float? | 0..1 | measured | the same of each of several teachers alone
tasks[].test_in_train | int? | texts | measured | test texts that its training texts hold
tasks[].test_in_any_train | int? | texts | measured | test texts that the training texts of any task hold
{_STAGES.strip()}
{_RIVALS.strip()}
{_UNKNOWN.strip()}
{_KINDS.strip()}
confusion.*[].true | text? | | record | true label of a pair that the student mistakes more often
confusion.*[].predicted | text? | | record | predicted label
confusion.*[].teacher | int? | texts | measured | such mistakes of the tuned teacher
confusion.*[].student | int? | texts | measured | such mistakes of the student
vocabulary.size | int | tokens | measured | tokens that were kept
vocabulary.unknown_share | float | share | measured | share of tokens of test texts that are unknown
vocabulary.tokens_per_text | float | tokens | measured | mean length of a test text
vocabulary.tokens_per_text_teacher | float | tokens | measured | the same with the teacher's vocabulary
vocabulary.coverage[].size | int? | tokens | setting | tokens of a vocabulary
vocabulary.coverage[].train | float? | share | measured | training texts' tokens that it keeps whole
vocabulary.coverage[].validation | float? | share | measured | the same of validation texts
vocabulary.coverage[].unread | int? | tokens | measured | its tokens that no training text has
vocabulary.coverage[].split | int? | tokens | measured | tokens of training texts that it lacks
vocabulary.coverage[].chosen | bool? | | record | whether these are the student's tokens
vocabulary.agreement.* | float | share | measured | share of kept tokens that another score keeps too
plan.* | value? | | setting | settings of the compression
plan.architecture.* | value | | setting | shape of the student
probe[].set | text? | | record | set of texts that nobody distilled
probe[].teacher | float? | 0..1 | measured | accuracy of a linear probe of the published teacher
probe[].student | float? | 0..1 | measured | accuracy of a linear probe of the frozen student
probe[].retention | float? | share | measured | student over teacher
probe[].low | float? | share | measured | lower end of the 95 % interval, paired bootstrap
probe[].high | float? | share | measured | upper end of the same interval
{_ABLATION.strip()}
{_SHAPES.strip()}
seconds | float | s | measured | time of all stages
cpu_seconds | float? | s | measured | processor time of all stages, all threads together
total_bytes | int | bytes | measured | size of all files of the model
download_bytes | int | bytes | measured | size of the download, entropy coded
memory_bytes | int | bytes | measured | size of weights, heads and vocabulary once loaded
sha256 | text | | measured | of the model
parts.* | int | bytes | measured | what the bytes are spent on
latency[].length | int | tokens | setting | tokens of a text
latency[].batch | int | texts | setting | texts in a batch
latency[].threads | int | | setting | threads
latency[].ms | float | ms | measured | time per text
latency[].texts_per_s | int | 1/s | measured | texts per second
targets[].what | text | | record | figure with a target
targets[].asked | float | | setting | its target
targets[].reached | float? | | measured | what was reached
targets[].at_most | bool? | | record | whether lower is better
environment.* | value? | | record | versions, cores and commit
"""

PROBE = f"""
model | text | | record | model that was probed
teacher.name | text | | record | name of the teacher
teacher.sha256 | text | | record | of the teacher's weights
seed | int | | setting | seed of the probes
texts_per_label | int? | texts | setting | training texts that were drawn of each label
tasks[].task | text | | record | name of a task
tasks[].classes | int | labels | measured | its labels
tasks[].train_texts | int | texts | measured | texts that the probes learnt from
tasks[].test_texts | int | texts | measured | texts that they were tested on
tasks[].*.accuracy | float | 0..1 | measured | accuracy of the probe of student, teacher or words alone
tasks[].*.accuracy_interval | list | 0..1 | measured | its 95 % interval
tasks[].*.macro_f1 | float | 0..1 | measured | mean F1 over the labels
tasks[].*.strength | float | | setting | strength of the probe's penalty, chosen on training texts
tasks[].*.dim | int | | measured | width of the vectors, number of words and pairs of words
tasks[].retention | float | share | measured | accuracy of the student over that of the teacher
tasks[].retention_interval | list | share | measured | its 95 % interval, paired bootstrap
{_KINDS.strip()}
data_sha256.* | text | | record | hash of each task's file
"""

HOST = """
model | text | | record | model that was timed
length | int | tokens | setting | tokens of the text
threads | int | | setting | threads
predicted_ms | float | ms | modelled | predicted time per text
measured_ms | float | ms | measured | measured time per text
"""
