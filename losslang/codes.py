"""What each error code means and how it is mended: the text of ``losslang explain LL0301``."""

from __future__ import annotations

EXPLANATIONS: dict[str, str] = {
    # syntax
    "LL0101": """\
The text is no losslang. The caret stands where reading stopped; what is wrong is there or just before
it. Often it is the notation of another language: powers are written ^, equality ==, choices `a if c else
b`, and an expression ends where its line ends, unless brackets are open or the next line begins with + *
/ or |.""",
    "LL0102": """\
There is nothing but blanks and comments where an expression or a definition is expected: an empty file,
an empty string, a key of a config without a value.""",
    "LL0103": """\
An expression nests more levels of brackets and operators than the compiler reads. Give inner parts
names: a binding is one line, and it does not count.""",
    "LL0104": """\
A bracket is not closed, is closed by one of another shape, or was never opened. The message points at
both ends where it knows them.""",
    "LL0105": """\
The bytes of a file are not UTF-8: it was saved in another encoding, or is no text at all (an archive, a checkpoint).
Save it as UTF-8; a byte-order mark and any kind of line ends are read.""",
    # names
    "LL0201": """\
No loss or function has this name: not in the text itself, and not in the library. `losslang list` prints
the library. A name that is not called is taken for an input of the objective, so a misspelt loss in a
sum is found here too.""",
    "LL0202": """\
The loss has no parameter of this name. `losslang explain NAME` prints its signature. Every loss takes
reduce=, mask=, ignore= and weight= beside its own parameters.""",
    "LL0203": """\
A name stands where only a few are known, and it is none of them: a value that the definition does not
bind, a property that does not exist. In a definition every name is a parameter, a binding or another
definition.""",
    "LL0204": """\
A bracket names an axis that the value in it does not have. Axes get their names from the types of the
parameters: in `logits: logit[b, c]` they are b and c.""",
    "LL0205": """\
Two definitions, terms or bindings have one name, so a reference to it could mean either. Rename one; a
term is named by its binding or with `as name`.""",
    "LL0206": """\
What stands behind | is no balancer. A balancer is a definition that begins with `balancer`; `losslang
list` shows those of the library. --after takes the name of a pass of the compiler.""",
    "LL0207": """\
A parameter without a default was given nothing. Tensors that are left out become inputs of the objective
under their own name; numbers, functions and networks have to be said.""",
    "LL0208": """\
There are more positional arguments than parameters that could take them. Each one fills the first free
parameter of its kind: tensors take tensors, networks take networks. Name the argument to say which
parameter is meant.""",
    "LL0209": """\
`use` names a module that is nowhere: not a family of the library, and not a file beside the text or in a
folder that path= or --path declares. A text that is given as a string, without path=, reads no file.""",
    "LL0210": """\
A definition or alias is needed to compute itself, perhaps through others; the message names the circle. There
is no recursion: a repeated step is a fold, `iterate[x = start, n](step)`.""",
    "LL0211": """\
A binding is needed to compute its own value, perhaps through others; the message names the circle. Order says
nothing here: a name has one value in each call. What it had in the previous call is `last(name, init)`.""",
    # kinds, axes, shapes
    "LL0301": """\
A value of one kind is handed to what wants another: probabilities where logits belong, labels where
scores belong. Both would run and give a wrong number. The only conversion that happens by itself is
label to prob (one-hot); the hint says how to write any other.""",
    "LL0302": """\
Values that meet in one operation, or rows that are added, do not have the axes that they should. Say
what is to become of the axis: reduce it, as in mean[j](x), or name it in the result.""",
    "LL0303": """\
Inputs are known by name: `pred` in two terms is one tensor. Here two terms want it at types that no
tensor has at once. If two tensors are meant, give one of them another name: l1(pred=depth,
target=depth_target).""",
    "LL0304": """\
Two values that are defined under different conditions meet in one elementwise operation. What the result
would be where only one of them exists is not defined; reduce one of them first.""",
    "LL0305": """\
A parameter is outside the bounds that its type declares, or a learned one starts at a bound, where its
gradient would vanish. The signature in `losslang explain NAME` shows the bounds.""",
    "LL0306": """\
An index variable runs over nothing: no tensor that it indexes says how far. Use it as an index, or bound
it as in [k < n].""",
    "LL0307": """\
An argument is of a wrong sort: a string for a number, a number for a network, a tensor where a number
has to be known when the objective is compiled.""",
    "LL0308": """\
A parameter takes one of a few words, and this is none of them. The words live in that parameter only, so
they need no quotes.""",
    "LL0309": """\
The language has this construct, and the compiler does not take it here yet. The message says what it
takes instead.""",
    "LL0310": """\
Inside a definition a loss gives its rows, one number for each thing that it judges. Rows of different things
cannot be added one by one, and rows whose means divide by different sums have no mean together. Reduce each
first: mean[b](l1(x, y)), l1(x, y, reduce=mean), or a binding with the axes that are to stay. At the objective
every term is reduced by itself.""",
    "LL0311": """\
A loss that is handed over as a parameter is called by the definition that takes it, with the arguments that
stand there. This one takes others, or other kinds of them: a combinator of class losses calls L(logits,
labels). The message shows the call.""",
    "LL0312": """\
A draw stands in a formula. Randomness is the default of a parameter with a type, `noise: real[b] = normal()`:
the type gives the shape, and a call that passes the numbers replays what was drawn.""",
    "LL0313": """\
`last(x, init)` is the value that the binding or parameter x had in the training call before. An expression
is stored nowhere until a binding gives it a name, and inside the body of a repeated step there is no single
value to store.""",
    # objectives
    "LL0401": """\
Nothing is left to minimise: no loss stands in the text, or a part of the sum depends on no input. A
constant has no gradient, so it cannot be meant.""",
    "LL0402": """\
What multiplies a loss is its weight, and a weight is a number, a schedule or `auto`. A tensor of weights
for the elements of a loss is its modifier: l1(weight=w).""",
    "LL0403": """\
The function is better when it is higher, or says nothing about its direction, so minimising it would be
a guess. Write what is to become small: 1 - ssim, or -si_sdr.""",
    "LL0404": """\
There are more terms than an objective can have. Terms of one kind belong into one loss over an axis of
their own.""",
    "LL0405": """\
One objective is needed, and the file holds none, several, or not the one that was asked for. Choose with
name= or --name. A config needs a key `objective` whose value is a text.""",
    "LL0406": """\
Definitions that use others several times, level upon level, stand for more than the compiler writes out.
A sum over an axis says the same in one line.""",
    # calls, at run time
    "LL0501": """\
The batch lacks an input. `objective.signature` lists all of them; where the batch has other names, bind=
says so when the objective is compiled.""",
    "LL0502": """\
No term takes a tensor of this name. Keywords are checked so that a misspelt input does not go unnoticed;
a batch given as one mapping may hold more than is needed.""",
    "LL0503": """\
An input has another number of dimensions than its type, or two inputs that share an axis have different
extents along it. Broadcasting would hide this: [b] and [b, 1] make [b, b] without a word.""",
    "LL0504": """\
A tensor has another dtype than its kind: class numbers have to be integers, masks bool, everything else
floating.""",
    "LL0505": """\
A label is not one of the classes. The axis that labels index says how many there are: labels: label[b] <
c. Labels that mean "none" are left out with ignore=-100.""",
    "LL0506": """\
The total is infinite or not a number. The message names the first input, else the first term that is so.
This is looked for only where check_finite=True, since it waits for the device.""",
    "LL0507": """\
The inputs of one call lie on different devices. Move them to one, as for any operation of torch.""",
    "LL0508": """\
Values are outside the range that their kind declares: probabilities below 0 or above 1, an image of
bytes where 0..1 is declared, rows of a unit that have not length 1. Declared ranges are converted, never
guessed.""",
    "LL0509": """\
The default backend compiles with inductor, which needs a C++ compiler for the CPU. Install one, or
compile the objective with backend="eager", which gives the same values.""",
    "LL0510": """\
An `argmin[a in simplex(k)](f)` or its like found nothing: f falls without end on the set, or is not convex (for
argmax: rises, is not concave). Nash bargaining over two gradients of exactly opposite directions is such a case. The
conditions of a minimum have to hold to 1e-9 of the function's slope at the start.""",
    "LL0511": """\
A loss compares this batch with what `last` kept of the one before, and the two have different sizes. Let every
batch have one size, or store what is reduced over the batch.""",
    "LL0512": """\
Torch refuses an operation of the graph. The message names the term that it belongs to, what it was given,
and what torch says; the exception that torch raised is the cause of this one. Most often an axis is
shorter than a window of the loss, or an image is too small for a network.""",
    "LL0513": """\
A model that the caller passes gave something else than the type in the objective's header says: a result of another
shape, no tensor, or one that autograd cannot go back from where the objective differentiates it. A model under
stop(...), or whose parameters are spoken of, has to be an nn.Module: what a function closes over is not known.""",
    # networks
    "LL0601": """\
No feature network has this name. Known are vgg16 (vgg), alexnet (alex) and squeezenet1_1 (squeeze).""",
    "LL0602": """\
The weights of a network are on no path and could not be downloaded. Put the file where the message says,
set LOSSLANG_CACHE to its folder, give a path as in vgg(weights="file.pth"), or, for tests, random ones:
vgg(weights=random(seed=0)).""",
    "LL0603": """\
A file of weights is not the one that was expected: its digest differs. Delete it; it is downloaded anew.""",
    "LL0604": """\
A file of weights lacks tensors of the network, or has them in other shapes or dtypes. It has to be a
state dict under torchvision's names.""",
    # modules and configs
    "LL0701": """\
A module uses another that leads back to it. Move what both need into a third file, which uses neither.""",
    "LL0702": """\
A module lies beside the file that is compiled, or in a folder that path= or --path declares. Whatever leads
out of these folders is not read: an absolute path, `..` too often, a link to somewhere else.""",
    "LL0703": """\
A name would mean two things: two of the file itself, the modules that it uses and the library define it.
Rename your own, or keep a module's names apart: after `use mine as m` they are m.name.""",
    "LL0704": """\
A constant that is given from outside stands for a name in the objective, and nothing mentions this one: it
is misspelt, or meant for a parameter of a loss, which the text hands on (focal(gamma=gamma)) or an override
sets (terms.focal.gamma). A keyword of `compile` that is no option is a constant.""",
    "LL0705": """\
An override names a term and a parameter of its loss (terms.focal.gamma), its weight (terms.focal.weight) or
its loss (terms.focal.loss), or a pass and its option (passes.NAME.OPTION). Names of terms are those that
`losslang explain` shows.""",
    "LL0706": """\
The file is no YAML, TOML or JSON, by the suffix of its name. The caret stands where reading stopped. In YAML
a text with a colon or a hash in it stands in quotes, or behind `>` on lines of its own.""",
    "LL0707": """\
An objective in a config has the keys name, use, definitions, axes, inputs, bindings, constants, terms, passes
and bind; a term has loss, weight and the parameters of its loss. Keys of your own stand beside `objective`.""",
    "LL0708": """\
A mapping holds a key twice. Most readers take the last one without a word; remove one of them.""",
    "LL0709": """\
What comes from Python or from a config has to be something that a text can say: a number, true or false,
none, a word, a list of these, or an expression as a text. A number stands without quotes.""",
    "LL0710": """\
A config holds its objective under `objective`, as a text or a mapping, or is one, with a key `terms`; each
term has a loss, as a text or under `loss`.""",
    # warnings
    "LL0801": """\
A term whose weight is 0 costs its computation and teaches nothing. Where it should only be logged, compile
it as an objective of its own; where its weight is to grow, give it a schedule.""",
    "LL0802": """\
Whatever the batch holds, the derivative of this term by every input and every learned value is 0: it is a
constant, everything in it is stopped, or it only counts and compares. It trains nothing.""",
    "LL0803": """\
A declared tensor or number, or the value of a line, that nothing mentions. Callers would have to pass it for
nothing; more often a name is misspelt where it should stand.""",
    "LL0804": """\
A parameter was given as auto, and the objective does not depend on it, or only through stop(...). An
optimiser would carry it along without ever changing it.""",
    "LL0805": """\
A softmax or sigmoid is taken of probabilities. Losses that take logits normalise them themselves; the second
normalisation squeezes everything into a narrow range, gradients vanish, and training still goes down, slowly.""",
    "LL0806": """\
The softmax over one element is 1 and its logarithm 0, whatever the logit is: the loss is constant. One logit
that decides between two classes belongs to a sigmoid: bce, sigmoid_focal, dice(prob=sigmoid(logits)). Over the
batch it means a batch of one element, which has nothing to be told from.""",
    "LL0807": """\
The loss takes images in one range, nothing declares the range of this one, and its values look like those of
another. Declare what it is, and it is converted: objective main(pred: image[b, c=3, h, w] in 0..1): ...""",
    "LL0808": """\
The axes that are added up contain the batch, so the value is one of the whole batch: it depends on the batch
size, and large objects hide small ones. Each image by itself is `over=[...]`, the default. Where batches are
meant to be pooled, say so with a comment: # allow LL0808""",
    "LL0809": """\
Two numbers or more are given without names. Which parameter each one reaches follows from the signature, and
libraries disagree about the order of alpha and gamma, say; a swap would run and train something else.""",
    "LL0810": """\
The rows of a target for a softmax should be distributions: not negative, and of sum 1. Several ones in a row
are independent classes, which is bce's matter.""",
    "LL0811": """\
The prediction is stopped (or rounded, or an argmax) and the target is not, so the gradient flows into what
should be given. Mostly two arguments are swapped, as in a distillation that teaches the teacher.""",
    "LL0812": """\
Two terms are the same computation on the same tensors, so together they are one with the sum of their weights.
Mostly other tensors were meant: a loss without arguments takes its inputs by the names of its parameters.""",
    "LL0813": """\
In this batch the mask is false everywhere, or every label is an ignored one: nothing is left, and the term is
0. If batches like that are expected, allow the warning.""",
    "LL0814": """\
The number is about one divided by the default. A temperature divides the similarities, and its inverse, a
scale, multiplies them: 0.07 is a common temperature and 14.3 the scale that means the same.""",
    "LL0815": """\
Balancers weigh terms that are to be made small. With a negative weight the product falls without end as the
weight grows (uncertainty), or the logarithm of the weight does not exist.""",
    "LL0816": """\
The label that is left out is one of the classes, so no element of that class is ever learned from. This is
right for padding; it is wrong where 0 is an ordinary class.""",
    "LL0817": """\
With a minus sign, the loss is made large, and it has no largest value: the objective falls without end. What
is higher-is-better in the library is an fn, and 1 - ssim or -si_sdr is right there.""",
    "LL0818": """\
A weighted sum of logits goes through one softmax. A weighted sum of losses has another value and other
gradients. Averaging logits is an ensemble; where that is meant, allow the warning.""",
}
"""A few sentences for each code of `diagnostics.CODES`; a test holds the two equal."""
