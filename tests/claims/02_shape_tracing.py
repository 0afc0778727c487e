"""The checkable sentences of chapter 2, each with what must be true in its kernel."""

SETUP = """
import math

claims_net = lenet.make_lenet()
claims_trace = lenet.trace_shapes(claims_net, torch.rand(1, 1, 28, 28))
claims_shapes = [row.output_shape for row in claims_trace]
claims_X = torch.rand(3, 1, 28, 28)
claims_sizes = [math.prod(shape) for shape in claims_shapes]

def claims_out(n, k, p, s):
    return (n + 2 * p - k) // s + 1

def claims_torch(n, k, p, s):
    return nn.Conv2d(1, 1, k, padding=p, stride=s)(torch.zeros(1, 1, n, n)).shape[-1]
"""

CLAIMS = [
    ("say why the lesson writes `16 * 5 * 5`", "16 * 5 * 5 == claims_net[8].in_features"),
    ("the shape after each of the thirteen layers", "len(claims_net) == 13"),
    (
        "- a pooling layer halves height and width and leaves the channels alone;",
        "claims_shapes[3] == (6, 14, 14) and claims_shapes[2] == (6, 28, 28)",
    ),
    (
        "The shape changes at 8 of the 13 layers: the two convolutions, the two pooling layers, `Flatten` and the three dense layers.",
        "sum(a != b for a, b in zip([(1, 28, 28), *claims_shapes], claims_shapes) if a != b) - (claims_shapes[1][1:] == (28, 28)) + 1 == 8",
    ),
    (
        "Only the first number. None of LeNet's layers mixes the images of a batch",
        "claims_net(claims_X).shape == (3, 10) and torch.allclose(claims_net(claims_X)[1:2], claims_net(claims_X[1:2]), atol=1e-6)",
    ),
    (
        r"write $6 \times 28 \times 28$ for what each image becomes",
        "claims_shapes[1] == (6, 28, 28)",
    ),
    ("| A | 7 | 3 | 0 | 1 |", "claims_out(7, 3, 0, 1) == claims_torch(7, 3, 0, 1)"),
    ("| D | 7 | 2 | 0 | 2 |", "claims_out(7, 2, 0, 2) == claims_torch(7, 2, 0, 2)"),
    (
        r"1. With the padding the row is $n + 2p$ long. 2. Number the windows $i = 0, 1, 2, \ldots$ Window $i$ begins at position $i\,s$ and ends before position $i\,s + k$. It fits if $i\,s + k \le n + 2p$, that is, if",
        "all(sum(i * s + k <= n + 2 * p for i in range(99)) == claims_torch(n, k, p, s) for n in (7, 28) for k in (2, 5) for p in (0, 2) for s in (1, 2, 3))",
    ),
    (
        r"$$i \;\le\; \frac{n + 2p - k}{s}.$$",
        "all((i * 2 + 5 <= 28 + 4) == (i <= (28 + 4 - 5) / 2) for i in range(40))",
    ),
    (
        r"3. The largest whole number $i$ that fits is the fraction rounded down, $\lfloor (n + 2p - k)/s \rfloor$. Counting from 0, that makes one window more:",
        "max(i for i in range(99) if i * 2 + 5 <= 32) == (28 + 4 - 5) // 2",
    ),
    (
        r"$$\boxed{\;n_\text{out} \;=\; \left\lfloor \frac{n + 2p - k}{s} \right\rfloor + 1\;}$$",
        "all(claims_out(n, k, p, s) == claims_torch(n, k, p, s) for n in range(5, 30) for k in range(1, 6) for p in range(3) for s in range(1, 4))",
    ),
    (
        "First convolution: $n = 28$, $k = 5$, $p = 2$, $s = 1$.",
        "claims_net[1].kernel_size == (5, 5) and claims_net[1].padding == (2, 2) and claims_net[1].stride == (1, 1)",
    ),
    (
        "- With stride 1 the output is as large as the input if, and only if, $2p = k - 1$. That is why the lesson gives its 5 × 5 kernel a padding of 2.",
        "all((claims_out(28, k, p, 1) == 28) == (2 * p == k - 1) for k in range(1, 9) for p in range(5)) and claims_net[1].padding == (2, 2)",
    ),
    (
        r"A value of a convolution takes $c_\text{in} \, k^2$ of them (in chapter 1 we did 25 by hand), and there are $c_\text{out} \, h_\text{out} \, w_\text{out}$ such values:",
        "claims_trace[1].mult_adds == 25 * claims_sizes[1]",
    ),
    (
        r"$$\text{mult-adds} = \underbrace{c_\text{out} \, h_\text{out} \, w_\text{out}}_{\text{values}} \;\cdot\; \underbrace{c_\text{in} \, k^2}_{\text{each}} \qquad\qquad \text{dense: } \; n_\text{out} \cdot n_\text{in}$$",
        "claims_trace[4].mult_adds == 16 * 10 * 10 * 6 * 5**2 and claims_trace[8].mult_adds == 120 * 400",
    ),
    (
        "Both start at 1. A window of width $k$ reaches $k - 1$ neighbours further",
        "claims_trace[0].receptive_field == 1",
    ),
    (
        r"$$f \leftarrow f + (k - 1)\, j \qquad\qquad j \leftarrow j \cdot s$$",
        "[row.receptive_field for row in claims_trace][1:7] == [5, 5, 6, 14, 14, 16]",
    ),
    (
        "a dense layer sees all 5 × 5 places of the map, that is, one more window with $k = 5$",
        "claims_shapes[6] == (16, 5, 5)",
    ),
    (
        r"$16 + 4 \cdot 4 = 32$: just the image with its padding, 28 + 2 + 2. Every value of the dense layers sees the whole image, which is why `trace_shapes` says 28 for each of them.",
        "16 + 4 * 4 == 32 == 28 + 2 + 2 and [row.receptive_field for row in claims_trace][8:] == [28] * 5",
    ),
    (
        "It rises twice. The first convolution makes six times as many values, 4704 from 784: six opinions about every place. Each pooling leaves a quarter, the second convolution goes up once more, from 1176 to 1600, and the dense layers end at ten.",
        "claims_sizes[0] == 784 and claims_sizes[1] == 4704 == 6 * 784 and claims_sizes[3] == 1176 == 4704 / 4 and claims_sizes[4] == 1600 and claims_sizes[6] == 400 and claims_sizes[-1] == 10",
    ),
    ("(784 places)", "28 * 28 == 784"),
    (
        "Each pooling layer gives up three quarters of the places",
        "claims_sizes[3] / claims_sizes[2] == 1 / 4 == claims_sizes[6] / claims_sizes[5]",
    ),
    (
        "At 16 × 5 × 5 there are 25 places left with 16 statements about each.",
        "claims_shapes[6] == (16, 5, 5)",
    ),
    (
        "`1x256` is what arrives: 1 image with 256 values. `400x120` is the layer's weight matrix, transposed for the multiplication: it takes 400 values and gives 120. So 400 were expected, and 256 came.",
        "16 * 4 * 4 == 256 and claims_net[8].weight.T.shape == (400, 120)",
    ),
    (
        r"$$28 \xrightarrow{\;k=5\;} 24 \xrightarrow{\;k=2,\,s=2\;} 12 \xrightarrow{\;k=5\;} 8 \xrightarrow{\;k=2,\,s=2\;} 4 \qquad\Rightarrow\qquad 16 \cdot 4 \cdot 4 = 256$$",
        "claims_out(28, 5, 0, 1) == 24 and claims_out(24, 2, 0, 2) == 12 and claims_out(12, 5, 0, 1) == 8 and claims_out(8, 2, 0, 2) == 4",
    ),
    (
        "Now the number in `nn.Linear(16 * 5 * 5, 120)` explains itself. The 16 is a choice: the second convolution's number of output channels. The 5 × 5 is not: it is what the formula makes of 28 with the windows of the four layers before. Their product, 400, is the length of the row",
        "claims_net[4].out_channels == 16 and claims_out(claims_out(claims_out(28, 2, 0, 2), 5, 0, 1), 2, 0, 2) == 5 and 16 * 5 * 5 == 400",
    ),
    (
        "*make it fit* sets the inputs of dense 1 to 256, and 144 weights of each of its 120 units go, 17280 parameters.",
        "(claims_net[8].in_features - 144, claims_net[8].out_features) == (256, 120) and 144 * 120 == 17280",
    ),
    (
        "Fewest multiply-adds: whatever leaves fewer places to the second convolution, which takes most of them.",
        "claims_trace[4].mult_adds > sum(row.mult_adds for row in claims_trace) / 2",
    ),
    (
        "conv 1 computes a quarter of the places, 29400 multiply-adds instead of 117600, and no parameter is saved.",
        "claims_trace[1].mult_adds == 117600 == 4 * 29400",
    ),
    (
        "the weights of conv 2 become four times as many, because it has twice as many channels coming in and going out.",
        "(2 * 6) * (2 * 16) * 25 == 4 * claims_net[4].weight.numel()",
    ),
    (
        "its C5, which the paper counts as a convolution whose window covers the whole map, still got 16 × 5 × 5",
        "claims_out(claims_out(claims_out(claims_out(32, 5, 0, 1), 2, 0, 2), 5, 0, 1), 2, 0, 2) == 5",
    ),
    (
        "32 × 32. A padding of 2 in the first layer is the same as images with a frame of zeros, two pixels wide.",
        "28 + 2 * 2 == 32",
    ),
    (
        r"1024 is $32 \cdot 32$: `Reshape` can't cut images of 784 pixels out of it. `weight of size [16, 6, 5, 5]` is 16 kernels for 6 channels of 5 × 5. The third one appears when too many windows follow each other: the formula has arrived at a size below 1.",
        "32 * 32 == 1024 and 1024 % 784 != 0 and claims_net[4].weight.shape == (16, 6, 5, 5) and claims_out(4, 5, 0, 1) < 1",
    ),
    (
        "Only the kernel of conv 1 changes, from 5 to 3; its padding stays 2. How large are the maps after each of the four layers? Does the first dense layer still get its 400 values?",
        "claims_out(28, 3, 2, 1) == 30",
    ),
    (
        "Which numbers double, which become four times as large, and why?",
        "12 * 16 * 2 * 25 / (6 * 16 * 25) == 4",
    ),
    (
        r"$\lfloor (n + 2p - k)/s \rfloor + 1$, because window $i$ fits as long as $i\,s + k \le n + 2p$. LeNet: 28, 28, 14, 10, 5.",
        "[28, *(claims_shapes[i][-1] for i in (1, 3, 4, 6))] == [28, 28, 14, 10, 5]",
    ),
    (
        "61706 parameters, 78 % of them in the first dense layer; 416520 multiply-adds, 86 % of them in the convolutions. Receptive fields: 5, 6, 14, 16, then the whole image.",
        "sum(r.parameters for r in claims_trace) == 61706 and round(100 * 48120 / 61706) == 78 and sum(r.mult_adds for r in claims_trace) == 416520 and round(100 * (claims_trace[1].mult_adds + claims_trace[4].mult_adds) / 416520) == 86 and [claims_trace[i].receptive_field for i in (1, 3, 4, 6, 8)] == [5, 6, 14, 16, 28]",
    ),
    (
        "From 1 × 28 × 28 to 16 × 5 × 5: the network gives up the exact place in exchange for more kinds of patterns, and the dense layers turn *what is where* into ten logits.",
        "claims_shapes[0] == (1, 28, 28) and claims_shapes[6] == (16, 5, 5) and claims_shapes[-1] == (10,)",
    ),
    (
        "16 · 5 · 5 is the number of output channels, times what the formula makes of 28.",
        "16 * 5 * 5 == 400",
    ),
]
UNCHECKED = {
    "There are three ways to mend our broken network.": "they follow",
    "(An even $k$ can't do it: there is no half zero.)": "the sentence before it",
    "LeNet-5 of 1998 had no padding": "the paper, see chapter 1",
}
