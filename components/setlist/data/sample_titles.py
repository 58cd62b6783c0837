"""The titles of the bundled sample's playlists: invented, in the languages of its countries."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

LOCAL = 0.6
"""The probability that a country's own playlist has a title in the country's language."""


@dataclass(frozen=True)
class Wording:
    """What the titles of a language are made of.

    Attributes:
        frames: with {} where the words of a topic go.
        topics: the words of each topic; any of them goes into any frame.
    """

    frames: tuple[str, ...]
    topics: Mapping[str, tuple[str, ...]]

    @classmethod
    def parse(cls, frames: str, topics: Mapping[str, str]) -> "Wording":
        """Frames and words are separated by a comma."""
        words = {topic: tuple(text.split(", ")) for topic, text in topics.items()}
        return cls(tuple(frames.split(", ")), words)

    def titles(self, rng: np.random.Generator, topic: str) -> Iterator[str]:
        """Yield all titles of a topic, from a drawn one on."""
        words = self.topics[topic]
        frame, word = rng.integers(len(self.frames)), rng.integers(len(words))
        place = int(frame) * len(words) + int(word)
        both = list(product(self.frames, words))
        for frame_text, word_text in both[place:] + both[:place]:
            yield frame_text.format(word_text)


ENGLISH = Wording.parse(
    "Golden {}, Midnight {}, Velvet {}, Northern {}, Sunday {}, Endless {}, Secret {}, Summer {}, "
    "Little {}, Wild {}, {} After Dark, {} at Dawn, {} for Two, {} by the Sea, {} on the Train, "
    "{} in the Rain, {} Under Streetlights, {} for Long Drives, {} on Repeat, {} and Coffee",
    {
        "ambient": "Haze, Stillness, Tides, Drift, Nightfall, Snowfall, Lullabies, Horizons",
        "classical": "Nocturnes, Strings, Études, Preludes, Waltzes, Sonatas, Adagios, Concertos",
        "country": "Backroads, Porch Songs, Barn Dances, Pickups, Fiddles, Heartland, Saloons, "
        "Dusty Boots",
        "electronic": "Circuits, Warehouse, Pulse, Basslines, Strobes, Machines, Frequencies, "
        "Loops",
        "folk": "Campfires, Ballads, Meadows, Harvest Songs, Banjos, Lanterns, Hills, Wayfarers",
        "funk": "Grooves, Brass, Struts, Slap Bass, Horns, Platform Shoes, Block Party, Soul Food",
        "hip-hop": "Cyphers, Rhymes, Corners, Boom Bap, Freestyles, Crates, Verses, Turntables",
        "indie": "Basements, Polaroids, Bicycles, Bedroom Tapes, Mixtapes, Daydreams, Garages, "
        "Rooftops",
        "jazz": "Standards, Quartets, Café Jazz, Saxophones, Late Sets, Swing, Trios, Brushes",
        "metal": "Thunder, Furnaces, Riffs, Iron, Double Kicks, Avalanche, Anvils, Wolves",
        "pop": "Choruses, Crushes, Mirrorballs, Hooks, Glitter, Sing-Alongs, Heartbeats, Singles",
        "workout": "Sprints, Reps, Mileage, Hill Climbs, Warm-Ups, Intervals, Finish Lines, Sweat",
    },
)
LANGUAGES = {
    "BR": Wording.parse(
        "{} da Madrugada, {} de Verão, {} de Domingo, {} à Beira-Mar, {} sem Pressa, "
        "{} na Varanda, {} do Interior, {} da Cidade, {} com Saudade, {} de Manhã, {} na Estrada, "
        "{} do Coração",
        {
            "ambient": "Silêncios, Marés, Sonhos",
            "classical": "Valsas, Noturnos, Cordas",
            "country": "Modas de Viola, Sertão, Violas",
            "electronic": "Batidas, Pista, Sintetizadores",
            "folk": "Cantigas, Violão, Serestas",
            "funk": "Baile, Suingue, Metais",
            "hip-hop": "Rimas, Batalhas, Versos",
            "indie": "Fitas, Bicicletas, Garagem",
            "jazz": "Bossa, Improvisos, Trio",
            "metal": "Trovão, Guitarras, Riffs",
            "pop": "Refrões, Paixões, Brilho",
            "workout": "Corrida, Treino, Suor",
        },
    ),
    "DE": Wording.parse(
        "{} bei Nacht, {} am Morgen, {} im Regen, {} am Sonntag, {} ohne Ende, {} auf dem Land, "
        "{} im Frühling, {} unterwegs, {} für zwei, {} am Fluss, {} nach Mitternacht, "
        "{} über den Dächern",
        {
            "ambient": "Stille, Nebel, Wellen",
            "classical": "Kammermusik, Streicher, Klavier",
            "country": "Landstraßen, Lagerfeuer, Gitarren",
            "electronic": "Bässe, Keller, Schaltkreise",
            "folk": "Volkslieder, Wanderlieder, Balladen",
            "funk": "Bläser, Rhythmus, Hüftschwung",
            "hip-hop": "Reime, Sprechgesang, Straßenecken",
            "indie": "Fahrräder, Sofakonzerte, Tagträume",
            "jazz": "Jazzkeller, Saxofone, Quartette",
            "metal": "Donner, Stahl, Gewitter",
            "pop": "Ohrwürmer, Herzklopfen, Glitzer",
            "workout": "Ausdauer, Schweiß, Laufschritt",
        },
    ),
    "JP": Wording.parse(
        "夜の{}, 雨の日の{}, 青い{}, 静かな{}, 真夏の{}, 週末の{}, 深夜の{}, 朝の{}, "
        "海辺の{}, 秋の{}, 東京の{}, 窓辺の{}",
        {
            "ambient": "まどろみ, 余白, 波音",
            "classical": "練習曲, ピアノ, 弦楽",
            "country": "田舎道, カントリー, ギター",
            "electronic": "電子音, テクノ, 回路",
            "folk": "フォーク, 歌, 子守唄",
            "funk": "ファンク, グルーヴ, リズム",
            "hip-hop": "ラップ, ビート, 韻",
            "indie": "自転車, カセット, 屋上",
            "jazz": "ジャズ喫茶, サックス, 即興",
            "metal": "雷鳴, メタル, 轟音",
            "pop": "恋, ポップス, 花火",
            "workout": "ランニング, 鼓動, 坂道",
        },
    ),
    "SE": Wording.parse(
        "{} i skymningen, {} vid sjön, {} till frukost, {} på midsommar, {} i skärgården, "
        "{} på söndag, {} i snön, {} under norrsken, {} på tåget, {} efter midnatt, {} hemma, "
        "{} i regnet",
        {
            "ambient": "Dimma, Vågor, Stillhet",
            "classical": "Stråkar, Valser, Pianon",
            "country": "Landsväg, Gitarrer, Lador",
            "electronic": "Maskiner, Kretsar, Klubb",
            "folk": "Visor, Polskor, Fioler",
            "funk": "Blås, Basgång, Sväng",
            "hip-hop": "Rim, Rytmer, Gathörn",
            "indie": "Cyklar, Kassetter, Drömmar",
            "jazz": "Saxofon, Storband, Kvartett",
            "metal": "Åska, Järn, Storm",
            "pop": "Refränger, Förälskelser, Glitter",
            "workout": "Löprunda, Puls, Svett",
        },
    ),
    "NG": Wording.parse(
        "Lagos {}, Èkó {}, Òwúrọ̀ {}, Ayọ̀ {}, Ìfẹ́ {}, Harmattan {}, {} on the Island, "
        "{} in Ibadan, {} for Owambe, {} at Sunrise, {} in Traffic, Sweet {}",
        {
            "ambient": "Breeze, Lagoon, Moonlight",
            "classical": "Choirs, Strings, Keys",
            "country": "Village Roads, Guitars, Homecoming",
            "electronic": "Circuits, Night Bus, Synths",
            "folk": "Folk Songs, Talking Drums, Storytellers",
            "funk": "Highlife Horns, Groove, Brass",
            "hip-hop": "Cyphers, Street Verses, Flows",
            "indie": "Rooftops, Bedroom Songs, Polaroids",
            "jazz": "Jazz, Saxophones, Quartet",
            "metal": "Thunder, Riffs, Iron",
            "pop": "Anthems, Party, Love Songs",
            "workout": "Sprints, Five-a-Side, Road Runs",
        },
    ),
}


def draw_title(rng: np.random.Generator, region: str, topic: str, taken: set[str]) -> str:
    """A title that no other playlist has.

    Args:
        rng: where it is drawn from.
        region: a country, or "global".
        topic: the main one of the playlist.
        taken: the titles of other playlists; a topic has some hundred in English alone, and a
            tenth of all playlists.
    """
    local = LANGUAGES.get(region)
    wording = local if local and rng.random() < LOCAL else ENGLISH
    return next(title for title in wording.titles(rng, topic) if title not in taken)
