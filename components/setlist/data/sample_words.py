"""The words that the bundled sample names its playlists with."""

SCENES = {  # what a country's playlists are tagged with, and the words their titles begin with
    "BR": ("brazil", "Coração Saudade Manhã Verão"),
    "DE": ("germany", "Frühling Straße Gemütlich Nächte"),
    "JP": ("japan", "夜の 青い 東京 夏の"),
    "SE": ("sweden", "Sjö Midsommar Änglar Skärgård"),
    "NG": ("nigeria", "Ayọ̀ Lagos Ìfẹ́ Òwúrọ̀"),
}
MOOD_TAGS = ("chill", "party", "instrumental", "classics")
MOODS = "Golden Midnight Slow Electric Velvet Little Endless Paper Northern Quiet Neon Sunday"
TOPICS = {  # two tags, and the words that titles end with
    "ambient": ("ambient sleep", "Haze Stillness Tides"),
    "classical": ("orchestra piano", "Nocturnes Strings Études"),
    "country": ("country americana", "Backroads Porch Barn"),
    "electronic": ("techno house", "Circuits Warehouse Pulse"),
    "folk": ("folk acoustic", "Campfire Ballads Meadow"),
    "funk": ("funk soul", "Groove Brass Strut"),
    "hip-hop": ("rap beats", "Cyphers Rhymes Corners"),
    "indie": ("indie lo-fi", "Basements Polaroids Bicycles"),
    "jazz": ("jazz bebop", "Standards Quartet Café"),
    "metal": ("metal hardcore", "Thunder Furnace Riffs"),
    "pop": ("pop dance", "Choruses Crushes Mirrorballs"),
    "workout": ("workout running", "Sprint Reps Mileage"),
}
HOSTILE_TITLES = (  # harmless, once a page escapes them
    'Rock & Roll "Forever"',
    "<b>Bold</b> Beats",
    "Don't Stop'; DROP the Bass --",
    "100% {{ Energy }} </script>",
)
