"""Time of one training step in PyTorch: the peer of model/benches/step.rs.

The same architecture, batch, dropout and threads: a pre-norm encoder over tokens and positions, means of its output
and of the embeddings, a linear head; cross-entropy, gradient clipping, AdamW.

    python tests/peers/train_step.py classic --threads 2
"""

import argparse
import resource
import statistics
import time

import torch
from torch import nn

ENCODERS = {"classic": (2, 512, 8, 2048), "base": (4, 256, 4, 1024)}


class Classifier(nn.Module):
    def __init__(self, encoder, vocabulary, tokens, labels):
        super().__init__()
        layers, width, heads, feed_forward = encoder
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(tokens, width)
        layer = nn.TransformerEncoderLayer(
            width, heads, feed_forward, dropout=0.1, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(2 * width, labels)

    def forward(self, ids):
        embedded = self.tokens(ids) + self.positions.weight[: ids.shape[1]]
        hidden = self.encoder(self.dropout(embedded))
        return self.head(self.dropout(torch.cat([hidden.mean(1), embedded.mean(1)], dim=1)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder", choices=ENCODERS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--vocabulary", type=int, default=30_000)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)

    model = Classifier(ENCODERS[options.encoder], options.vocabulary, options.tokens, 8)
    # No attention dropout, as in fenliu.
    for layer in model.encoder.layers:
        layer.self_attn.dropout = 0.0
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    ids = torch.randint(2, options.vocabulary, (options.rows, options.tokens))
    gold = torch.arange(options.rows) % 8
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.1)

    def step():
        optimizer.zero_grad()
        loss_of(model(ids), gold).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    step()
    times = []
    used = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(options.steps):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    after = resource.getrusage(resource.RUSAGE_SELF)
    processor = (after.ru_utime - used.ru_utime + after.ru_stime - used.ru_stime) / options.steps
    print(
        f"{options.encoder}: {statistics.median(times):.3f} s a step (best {min(times):.3f} s), "
        f"{processor:.3f} s of processor time"
    )


if __name__ == "__main__":
    main()
