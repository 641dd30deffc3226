"""A small real model for the hand-off guide: which team should answer a customer's message?

python infra/handoff_train.py OUT [--messages N] [--without LANGUAGE] writes the model into OUT, and what was measured
on messages that it has not seen into OUT.csv: accuracy by language, latency, how many threats do not reach a person.
"""

# ruff: noqa: S311 - the same chance in every run, and nothing to hide

from __future__ import annotations

import argparse
import csv
import json
import math
import random
import struct
import time
from pathlib import Path

TEAMS = ("billing", "delivery", "account", "person")
WORDS = {
    "en": {
        "billing": "invoice refund charged payment receipt twice",
        "delivery": "parcel courier late tracking address arrived",
        "account": "password login email locked profile verify",
        "person": "lawyer police threat harm revenge sue",
        "": "hello please my the is not today yesterday thanks still with again",
    },
    "de": {
        "billing": "Rechnung Erstattung abgebucht Zahlung Beleg doppelt",
        "delivery": "Paket Kurier verspätet Sendung Anschrift angekommen",
        "account": "Kennwort Anmeldung Postfach gesperrt Profil bestätigen",
        "person": "Anwalt Polizei Drohung verletzen Rache verklagen",
        "": "hallo bitte mein das ist nicht heute gestern danke noch mit wieder",
    },
    "tr": {
        "billing": "fatura iade çekildi ödeme makbuz tutar",
        "delivery": "kargo kurye gecikti takip adres geldi",
        "account": "şifre giriş eposta kilitli profilim doğrula",
        "person": "avukat polis tehdit zarar intikam dava",
        "": "merhaba lütfen benim bu değil bugün dün teşekkürler hâlâ ile yine",
    },
}
SHARES = {"en": 900, "de": 600, "tr": 200}
"""How many test messages of each language: about as they come in."""
FEATURES = 1024
COLUMNS = (
    *("name", "value", "unit", "direction", "slice.language", "low", "high", "samples"),
    *("kind", "dataset", "version", "split"),
)
CARD = """# Which team answers

## Intended use
Routes a customer's message, in English, German or Turkish, to one of four teams.

## Limitations
Knows short messages only. Threats must reach a person: see the safety evaluation.
"""

Model = list[list[float]]


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--messages", type=int, default=60)
    parser.add_argument("--without", default="")
    given = parser.parse_args()
    chance = random.Random(2026)
    seen = [
        (team, message(chance, language, team))
        for language in WORDS
        for team in TEAMS
        for _ in range(given.messages if language != given.without else 0)
    ]
    model = train(seen)
    given.out.mkdir(parents=True, exist_ok=True)
    write_safetensors(given.out / "weights.safetensors", model)
    (given.out / "config.json").write_text(json.dumps({"teams": TEAMS, "features": FEATURES}) + "\n")
    (given.out / "README.md").write_text(CARD)
    with given.out.with_suffix(".csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        table.writerows(measure(model, random.Random(7)))


def message(chance: random.Random, language: str, team: str) -> str:
    """Return a message as a hurried person writes it: one or two words of the matter, others, and some typos."""
    words = chance.choices(WORDS[language][team].split(), k=chance.choice((1, 2, 2)))
    words += chance.choices(WORDS[language][""].split(), k=chance.randrange(2, 5))
    chance.shuffle(words)
    letters = list(" ".join(words).lower())
    for _ in range(chance.choice((0, 1, 1, 2))):
        letters.pop(chance.randrange(len(letters)))
    return "".join(letters)


def features(text: str) -> list[int]:
    """Return the trigrams of a text as numbers below `FEATURES`, the same on every machine."""
    padded = f"  {text} "
    return [
        sum(ord(letter) * 31**place for place, letter in enumerate(padded[at : at + 3])) % FEATURES
        for at in range(len(padded) - 2)
    ]


def train(seen: list[tuple[str, str]]) -> Model:
    """Return the logarithm of each feature's likelihood, for each team (naive Bayes)."""
    counts = [[0.5] * FEATURES for _ in TEAMS]
    for team, text in seen:
        for feature in features(text):
            counts[TEAMS.index(team)][feature] += 1
    return [[math.log(count / sum(row)) for count in row] for row in counts]


def answer(model: Model, text: str) -> str:
    """Return the team that a message goes to."""
    found = features(text)
    scores = [sum(row[feature] for feature in found) for row in model]
    return TEAMS[scores.index(max(scores))]


def measure(model: Model, chance: random.Random) -> list[list[object]]:
    """Return a row of the table for each metric."""
    data = ("messages", "2026-10", "test")
    right: dict[str, list[bool]] = {}
    took_ms = []
    for language, count in SHARES.items():
        for _ in range(count):
            team = chance.choice(TEAMS)
            text = message(chance, language, team)
            started = time.perf_counter()
            found = answer(model, text)
            took_ms.append((time.perf_counter() - started) * 1000)
            right.setdefault(language, []).append(found == team)
    everything = [one for part in right.values() for one in part]
    rows = [accuracy("", everything, data), *(accuracy(language, part, data) for language, part in right.items())]
    took_ms.sort()
    for name, share in (("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99)):
        value = took_ms[int(share * len(took_ms))]
        rows.append([name, f"{value:.2f}", "ms", "lower", "", "", "", len(took_ms), "automated", *data])
    threats = [message(chance, language, "person") for language in ("en", "de") for _ in range(200)]
    missed = sum(answer(model, text) != "person" for text in threats) / len(threats)
    red_team = ("threats", "3", "test")
    rows.append(["threats_missed", f"{missed:.4f}", "", "lower", "", "", "", len(threats), "safety", *red_team])
    return rows


def accuracy(language: str, right: list[bool], data: tuple[str, str, str]) -> list[object]:
    """Return the accuracy with its 95 % interval (Wilson)."""
    count, share, z = len(right), sum(right) / len(right), 1.96
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    numbers = (f"{middle - half:.4f}", f"{middle + half:.4f}", count)
    return ["accuracy", f"{share:.4f}", "", "higher", language, *numbers, "automated", *data]


def write_safetensors(path: Path, model: Model) -> None:
    """Write the model as one float32 tensor."""
    body = b"".join(struct.pack(f"<{FEATURES}f", *row) for row in model)
    tensor = {"dtype": "F32", "shape": [len(model), FEATURES], "data_offsets": [0, len(body)]}
    header = json.dumps({"log_likelihood": tensor}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + body)


main()
