"""The checkable sentences of chapter 1, each with what must be true in its kernel."""

SETUP = """
import math

claims_net = lenet.make_lenet()
claims_numbers = [sum(p.numel() for p in m.parameters()) for m in claims_net]
claims_mnist = lenet.load_images("MNIST", True)
claims_fashion = lenet.load_images("FashionMNIST", True)
claims_counts = claims_mnist.labels.bincount()
claims_conv1 = torch.nn.functional.conv2d
"""

CLAIMS = [
    (
        "Below the sum stands what becomes of it: the sigmoid, and the mean of its 2 × 2.",
        "[w for w, _ in ConvolutionExplorer(net, mnist_train).step.after] == ['sigmoid', 'mean of 2 × 2']",
    ),
    (
        "`1 0 0` moves the image one place to the right, as each value takes that of its left neighbour.",
        "(own := ConvolutionExplorer(net, mnist_train)) and setattr(own.own, 'value', '1 0 0') is None"
        " and torch.allclose(own.step.feature_map[:, 1:], mnist_train[[0]][0][0, 0, :, :-1])",
    ),
    (
        "`-1 0 1; -2 0 2; -1 0 1`, the **Sobel kernel**, finds edges as −1 beside 1 does, and from three"
        " rows at once.",
        "(own := ConvolutionExplorer(net, mnist_train)) and"
        " setattr(own.kernel, 'value', 'your own') is None and"
        " own.step.kernel[0, 1:4, 1:4].tolist() == [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]",
    ),
    ("| C3 | conv 2 |", "[type(m).__name__ for m in claims_net].count('Conv2d') == 2"),
    ("| S4 | pool 2 |", "[type(m).__name__ for m in claims_net].count('AvgPool2d') == 2"),
    (
        "| C5, F6 | dense 1, dense 2 |",
        "[type(m).__name__ for m in claims_net].count('Linear') == 3",
    ),
    ("| output | dense 3 |", "[type(m).__name__ for m in claims_net][-1] == 'Linear'"),
    (
        "Even a kernel of two numbers, −1 and 1 side by side, can find something. Its sum is the "
        "pixel on the right minus the pixel on the left.",
        "torch.equal(vertical, bag[..., 1:] - bag[..., :-1])",
    ),
    (
        "with the same kernel and with one that has its −1 above its 1",
        "torch.equal(horizontal, bag[..., 1:, :] - bag[..., :-1, :])",
    ),
    (
        "−1 beside 1 finds the sides, orange where it gets brighter towards the right and blue where "
        "it gets darker. −1 above 1 finds the upper edge and the bottom.",
        "vertical[0, 0, 15, :4].max() > 0.5 and vertical[0, 0, 15, 23:].min() < -0.3 and "
        "horizontal[0, 0, 26, 8:20].max() < -0.2 and horizontal[0, 0, 10:13, 10].max() > 0.3",
    ),
    (
        "Nobody has to think of −1 and 1.",
        "(learned(bag) - vertical).abs().max() < 0.05",
    ),
    (
        "It comes ever closer to −1 and 1, from one example and a measure of its error.",
        "(learned.weight.flatten() - torch.tensor([-1, 1])).abs().max() < 0.05",
    ),
    (
        "Ten places: its feature maps are 10 × 10, because a window of 5 fits ten times into the 14 "
        "values of a row.",
        "outputs[4].shape[-2:] == (10, 10) == (14 - 5 + 1,) * 2 and outputs[3].shape[-1] == 14",
    ),
    (
        "Choose conv 2. Each of its values adds up six patches, one from each input channel",
        "net[4].in_channels == 6",
    ),
    ("count the parameters layer by layer, 61706 in all", "sum(claims_numbers) == 61706"),
    (
        "The paper reports an error of 0.95 % on MNIST's test digits: 95 of 10000 are misread.",
        "95 / 10000 == 0.0095 and len(lenet.load_images('MNIST', False)) == 10000",
    ),
    (
        "28 × 28 pixels; the first convolution adds 2 rows and columns of zeros on each side, which makes 32 × 32",
        "28 + 2 * claims_net[1].padding[0] == 32",
    ),
    (
        r"logistic sigmoid, $1 / (1 + e^{-a})$",
        "torch.sigmoid(torch.tensor(0.7)).isclose(torch.tensor(1 / (1 + math.exp(-0.7))))",
    ),
    (
        "each of the 16 output channels sees 3, 4 or all 6 of the input channels | each sees all 6",
        "claims_net[4].weight.shape[:2] == (16, 6)",
    ),
    (
        "the sum of four values, times a trainable coefficient, plus a trainable bias, through the "
        "activation | the mean of four values; nothing to train",
        "claims_net[3].kernel_size == 2 and claims_numbers[3] == 0",
    ),
    ("| **trainable parameters** | 60000 | 61706 |", "sum(claims_numbers) == 61706"),
    (
        "C1, C5 and F6 have as many parameters as conv 1, dense 1 and dense 2.",
        "[claims_numbers[i] for i in (1, 8, 10)] == [6 * 26, 120 * 401, 84 * 121]",
    ),
    (
        "the text calls them conv 1, pool 1, conv 2, pool 2, dense 1 and dense 2, and the output dense 3.",
        "[type(m).__name__ for m in claims_net if list(m.parameters()) or 'Pool' in type(m).__name__] == 'Conv2d AvgPool2d Conv2d AvgPool2d Linear Linear Linear'.split()",
    ),
    ("where the 1706 additional parameters come from", "61706 - 60000 == 1706 == 900 - 44 + 850"),
    (
        r"The code 2051 is $8 \cdot 256 + 3$: data of type 8 (whole bytes) in 3 dimensions. What follows is one byte, 0 to 255, for each pixel, and nothing else:",
        "8 * 256 + 3 == 2051 and claims_mnist.images.dim() == 3 and claims_mnist.images.max() == 255",
    ),
    (
        "Fashion-MNIST has exactly 6000 of each. MNIST only comes close: it has 24 % more ones than fives.",
        "claims_fashion.labels.bincount().tolist() == [6000] * 10 and round(100 * (claims_counts[1] / claims_counts[5] - 1).item()) == 24",
    ),
    (
        r"here $B \times 1 \times 28 \times 28$",
        "lenet.Reshape()(torch.zeros(7, 784)).shape == (7, 1, 28, 28)",
    ),
    (
        "LeNet's convolutions make 6 and 16 of them",
        "claims_net[1].out_channels == 6 and claims_net[4].out_channels == 16",
    ),
    (
        "A pixel and the one below it are 280 steps apart, a tile and the one on its right 28, a tile and the one below it 7840.",
        "10 * 28 == 280 and 28 * 280 == 7840",
    ),
    (
        "To turn the 10 × 10 tiles into 100 it would need *one* step that leads from every tile to the next. But the step is 28 nine times in a row, and then, to the first tile of the next row, it is 7588:",
        "10 * 10 == 100 and 7840 - 9 * 28 == 7588",
    ),
    (
        "looks at every 5 × 5 patch of the image with 6 small patterns, its kernels",
        "claims_net[1].weight.shape == (6, 1, 5, 5)",
    ),
    (
        "squashes every value into the range from 0 to 1",
        "0 <= torch.sigmoid(torch.tensor([-99.0, 99.0])).min() < torch.sigmoid(torch.tensor([-99.0, 99.0])).max() <= 1",
    ),
    (
        "replaces each 2 × 2 square by its mean: half the height, half the width",
        "claims_net[3](torch.arange(4.0).view(1, 1, 2, 2)).item() == 1.5",
    ),
    (
        "looks at every 5 × 5 patch of all 6 channels with 16 kernels: patterns of patterns",
        "claims_net[4].weight.shape == (16, 6, 5, 5)",
    ),
    (
        "lays the 16 × 5 × 5 values of each image out in one row of 400",
        "16 * 5 * 5 == 400 == claims_net[8].in_features",
    ),
    (
        "`Linear(400, 120)`, `Linear(120, 84)`",
        "(claims_net[8].out_features, claims_net[10].in_features, claims_net[10].out_features) == (120, 120, 84)",
    ),
    (
        "The accuracy is the share of sixes, about one in ten.",
        "abs((lenet.load_images('MNIST', False).labels == 6).float().mean() - 0.1) < 0.01",
    ),
    (
        "The first convolution turns it into 6 channels of 28 × 28 values",
        "claims_net[1](torch.zeros(1, 1, 28, 28)).shape == (1, 6, 28, 28)",
    ),
    (
        "1. Take the 5 × 5 **patch** of the image around that place. 2. Multiply it, value by value, by the 5 × 5 kernel of channel 0. 3. Add up the 25 **products**. 4. Add the **bias** of channel 0.",
        "claims_net[1].weight[0].numel() == 25 and claims_net[1].bias.shape == (6,)",
    ),
    (
        "Padding has moved every pixel 2 rows down and 2 columns to the right. So the patch that *begins* at row 8, column 12 of the padded image is the one *around* row 8, column 12 of the image.",
        "torch.nn.functional.pad(t := torch.rand(28, 28), (2,) * 4)[8:13, 12:17].equal(t[6:11, 10:15])",
    ),
    (
        r"$$y_{o,i,j} \;=\; b_o + \sum_{c} \sum_{u=0}^{4} \sum_{v=0}^{4} w_{o,c,u,v} \; x_{c,\,i+u,\,j+v}$$",
        "claims_conv1(t := torch.rand(1, 6, 14, 14), claims_net[4].weight, claims_net[4].bias)[0, 7, 4, 4].isclose((t[0, :, 4:9, 4:9] * claims_net[4].weight[7]).sum() + claims_net[4].bias[7], atol=1e-5)",
    ),
    (
        r"one here, six in the second convolution, whose values are therefore sums of $6 \cdot 25 = 150$ products",
        "claims_net[4].weight[0].numel() == 6 * 25 == 150",
    ),
    (
        "for their convolution the kernel is turned by 180° first",
        "torch.rot90(t := torch.rand(5, 5), 2).equal(t.flip(0, 1))",
    ),
    ("in 783 other places", "28 * 28 - 1 == 783"),
    ("26 numbers are enough for 784 outputs", "25 + 1 == 26 and 28 * 28 == 784"),
    (
        "Nine: a 3 × 3 part of the kernel lies on the image, and the other 16 values meet zeros.",
        "3 * 3 + 16 == 25",
    ),
    (
        "with six input channels. One of its values, channel 7, row 4, column 4, in two lines",
        "claims_net[4].in_channels == 6",
    ),
    (
        r"$$\sigma(a) = \frac{1}{1 + e^{-a}}$$",
        "torch.sigmoid(torch.tensor(-0.4972)).isclose(torch.tensor(1 / (1 + math.exp(0.4972))))",
    ),
    (
        "Average **pooling** takes the mean of each 2 × 2 square, and moves on by 2, its **stride**, so that no square overlaps the next. Our place, row 8, column 12, is in the square of rows 8–9 and columns 12–13, which becomes row 4, column 6 of the pooled map.",
        "(claims_net[3].kernel_size, claims_net[3].stride) == (2, 2) and (8 // 2, 12 // 2) == (4, 6)",
    ),
    ("And there are now a quarter as many values.", "14 * 14 * 4 == 28 * 28"),
    (
        "One value after the first pooling depends on a square of 6 × 6 pixels, its **receptive field**: four overlapping 5 × 5 patches.",
        "lenet.trace_shapes(claims_net, torch.rand(1, 1, 28, 28))[3].receptive_field == 6",
    ),
    (
        "Only five of the thirteen layers have any.",
        "sum(n > 0 for n in claims_numbers) == 5 and len(claims_net) == 13",
    ),
    (
        r"$c_\text{out} \, (c_\text{in} \, k^2 + 1)$",
        "claims_numbers[1] == 6 * (1 * 25 + 1) and claims_numbers[4] == 16 * (6 * 25 + 1)",
    ),
    (r"$n_\text{out} \, (n_\text{in} + 1)$", "claims_numbers[8] == 120 * (400 + 1)"),
    (
        "More than three quarters sit in one layer, the first dense one, where the picture is handed over to the classes. The two convolutions, which do the seeing, have 4 % between them",
        "claims_numbers[8] / 61706 > 0.75 and round(100 * (claims_numbers[1] + claims_numbers[4]) / 61706) == 4",
    ),
    (
        "3692640 instead of 156. Two ideas save this: a value looks at 25 pixels and not at all 784 (locality; with weights of its own at each place that makes 4704 · 26 = 122304 parameters), and all places use the same kernel (weight sharing: 156).",
        "(784 + 1) * 6 * 28 * 28 == 3692640 and claims_numbers[1] == 156 and 4704 * 26 == 122304 and 6 * 28 * 28 == 4704",
    ),
    (
        "six output channels saw 3 input channels each, nine saw 4, and one saw all 6",
        "6 * 3 + 9 * 4 + 1 * 6 == 60",
    ),
    (
        "900 more weights in the second convolution, because every output channel sees every input channel; 44 fewer in the pooling layers, which have nothing to train; and 850 in the last layer",
        "(96 - 60) * 25 == 900 and 2 * 6 + 2 * 16 == 44 and claims_numbers[12] == 850",
    ),
    (
        "two rounds of convolution, sigmoid and pooling that learn what to see, then three dense layers that decide",
        "[type(m).__name__ for m in claims_net].count('Conv2d') == 2 and [type(m).__name__ for m in claims_net].count('Linear') == 3",
    ),
    (
        "60000 training images (50000 when 10000 are held out for validation) and 10000 test images, 28 × 28 pixels of one byte, 10 classes.",
        "claims_mnist.images.shape == (60000, 28, 28) and claims_mnist.images.dtype == torch.uint8 and len(claims_counts) == 10",
    ),
    ("A `Sequential` of thirteen layers.", "len(claims_net) == 13"),
    (
        "Sigmoid: $1/(1+e^{-a})$ for each value alone. Average pooling: the mean of 2 × 2 values.",
        "torch.sigmoid(torch.tensor(2.0)).isclose(torch.tensor(1 / (1 + math.exp(-2))))",
    ),
    (
        "156 + 2416 + 48120 + 10164 + 850 = 61706, and 78 % of them sit in the first dense layer.",
        "[n for n in claims_numbers if n] == [156, 2416, 48120, 10164, 850] and round(100 * 48120 / 61706) == 78",
    ),
]
PAPER = "the paper: LeCun, Bottou, Bengio and Haffner, Proceedings of the IEEE 86 (11), 1998"
UNCHECKED = {
    "Our value is −0.4972. Does the sigmoid make it": "a question about the value worked out above",
    "does the window have in a row of conv 2": "a question",
    "In the second convolution of 1998": PAPER,
    "next: [2. Shape tracing](02_shape_tracing.ipynb)": "a link",
    "and ten bars show how probable each digit is to the network": "the animation is tested in tests/test_images.py",
    "how today's LeNet differs from that of 1998": PAPER,
    "lesson 21 of a deep-learning course": "the lesson's number",
    "It says what LeNet is in two sentences": "they follow",
    "This chapter and the next take these two sentences apart": "they are two",
    "In November 1998 Yann LeCun": PAPER,
    "Proceedings of the IEEE 86 (11), pages 2278–2324": PAPER,
    "is called **LeNet-5**": PAPER,
    "since the late 1980s": PAPER,
    "The usual recogniser of that time had two parts": PAPER,
    "read several million checks a day": PAPER,
    "drawn to scale: the image of 28 × 28 pixels, then C1 with 6 maps of 28 × 28, S2 with 6 of 14 × 14, C3 with 16 of 10 × 10, S4 with 16 of 5 × 5, then C5, F6 and the output with 120, 84 and 10 values": "the picture is tested in tests/test_images.py",
    "| | LeNet-5, 1998 | LeNet in this course |": PAPER,
    "is LeNet-5 with the details of its time simplified": PAPER,
    "32 × 32 pixels, with the 28 × 28 image in the middle": PAPER,
    r"scaled hyperbolic tangent, $1.7159 \tanh\left(\tfrac{2}{3} a\right)$": PAPER,
    "ten radial basis function (RBF) units": PAPER,
    "ten numbers, the logits": "what follows in this chapter",
    "Fashion-MNIST was made in 2017": "Xiao, Rasul and Vollgraf, arXiv:1708.07747",
    "shows the first ten images of each class, one row per class": "the picture below",
    "a colour image three": "red, green and blue",
    "about 100 of each class, or something else?": "a question",
    "It predicts 6, a thousand times": "the cell above counts 1000 of them",
    "stays at 2.30 for about an **epoch**, one pass over all training images, or longer": "chapter 3 and results/plateau.json",
    "comes from one of four simple calculations. We do three of them by hand": "they are named in this chapter",
    "We work out one value: channel 0, row 8, column 12.": "a choice",
    "larger or smaller than 0.5?": "a question",
    "- Image 0, conv 1, output channel 0, row 8, column 12: do you find our value, −0.497, again?": "a question",
    "and its output, ten logits in place of RBF units": "ten classes, as everywhere",
    "What share of the total: a third, a half, three quarters?": "a question",
    "ten times as many, a thousand times, more?": "a question",
    "The paper gives LeNet-5 60000 trainable parameters.": PAPER,
    "whose target patterns were drawn by hand in 1998": PAPER,
    "published in 1998": PAPER,
}
