"""Word lists: what cria knows of the world, one list per category, and the parts of invented names."""

from __future__ import annotations

from typing import Final


def _items(text: str) -> tuple[str, ...]:
    """Splits a block of comma-separated entries."""
    return tuple(" ".join(item.split()) for item in text.split(",") if item.strip())


FOODS: Final = _items("""
sushi, pizza, pasta, tacos, lasagna, ramen, paella, risotto, goulash, dumplings, pancakes, waffles, porridge,
falafel, hummus, curry, pad thai, pho, burritos, nachos, guacamole, chili, gumbo, jambalaya, ratatouille, quiche,
croissants, baguette, bread, toast, cheese, feta, mozzarella, cheddar, yoghurt, butter, honey, jam, marmalade,
peanut butter, soup, tomato soup, onion soup, borscht, stew, roast beef, steak, bacon, ham, sausages, salami,
meatballs, schnitzel, kebab, shawarma, burger, hamburger, cheeseburger, hot dogs, fries, french fries, chips,
crisps, popcorn, pretzels, salad, coleslaw, caesar salad, omelette, scrambled eggs, eggs, rice, fried rice, noodles,
spaghetti, macaroni, ravioli, gnocchi, couscous, quinoa, tofu, tempeh, lentils, beans, salmon, tuna, cod, trout,
sardines, herring, anchovies, shrimp, prawns, lobster, oysters, mussels, squid, caviar, fish and chips, fish,
chicken, fried chicken, roast chicken, turkey sandwich, sandwich, cake, chocolate cake, carrot cake, cheesecake,
apple pie, pie, cookies, biscuits, brownies, muffins, doughnuts, ice cream, sorbet, pudding, tiramisu, chocolate,
candy, marshmallows, baklava, churros, strudel, fondue, raclette, kimchi, bibimbap, miso soup, tempura, samosas,
naan, dal, biryani, tikka masala, moussaka, gyros, tzatziki, empanadas, ceviche, arepas, enchiladas, quesadillas,
tamales, poutine, haggis, pierogi, blini, mashed potatoes, baked beans, cereal, muesli, granola, oatmeal, crackers,
bagels, scones, rye bread, garlic bread, focaccia, gazpacho, tapas, cannelloni, carbonara, pesto, spring rolls, dim
sum, spare ribs, lamb chops, veal, duck, gingerbread, fudge
""")
FRUITS: Final = _items("""
apples, bananas, oranges, pears, peaches, plums, cherries, grapes, strawberries, raspberries, blueberries,
blackberries, mangoes, pineapple, papaya, kiwi, melon, watermelon, lemons, limes, apricots, figs, dates,
pomegranate, grapefruit, tangerines, coconut, cranberries, gooseberries, lychees, nectarines, guava, quince, an
apple, a banana, a mango, a pear, a peach, a lemon, an orange
""")
VEGETABLES: Final = _items("""
carrots, potatoes, onions, tomatoes, cucumbers, peppers, spinach, broccoli, cauliflower, cabbage, lettuce, kale,
leeks, celery, peas, asparagus, zucchini, courgettes, eggplant, aubergines, pumpkin, squash, radishes, beetroot,
turnips, parsnips, sweet potatoes, mushrooms, garlic, artichokes, sweetcorn, green beans, brussels sprouts, fennel,
rocket
""")
DRINKS: Final = _items("""
coffee, tea, green tea, black tea, mint tea, herbal tea, milk, water, sparkling water, lemonade, orange juice, apple
juice, juice, cola, soda, hot chocolate, cocoa, espresso, cappuccino, latte, beer, wine, red wine, white wine,
champagne, cider, whisky, vodka, rum, gin, tequila, sake, port, sherry, brandy, cognac, mead, kombucha, iced tea,
smoothie, milkshake, kefir, tonic water, ginger ale, root beer, tomato juice, mulled wine, prosecco, mojito,
martini, ale, stout
""")
ANIMALS: Final = _items("""
dog, cat, horse, cow, pig, sheep, goat, chicken, duck, goose, turkey, rabbit, hamster, guinea pig, mouse, rat,
squirrel, fox, wolf, bear, polar bear, panda, lion, tiger, leopard, cheetah, jaguar, lynx, elephant, rhino, hippo,
giraffe, zebra, camel, llama, alpaca, donkey, mule, deer, moose, elk, reindeer, bison, buffalo, antelope, gazelle,
kangaroo, koala, wombat, monkey, gorilla, chimpanzee, orangutan, baboon, lemur, sloth, armadillo, anteater, badger,
otter, beaver, hedgehog, mole, bat, raccoon, skunk, weasel, ferret, seal, walrus, whale, dolphin, shark, octopus,
crab, lobster, jellyfish, starfish, salmon, goldfish, eel, frog, toad, newt, salamander, snake, python, cobra,
lizard, gecko, iguana, chameleon, crocodile, alligator, turtle, tortoise, eagle, hawk, falcon, owl, raven, crow,
magpie, parrot, canary, pigeon, dove, seagull, pelican, penguin, ostrich, emu, flamingo, swan, stork, heron,
peacock, hen, rooster, sparrow, robin, swallow, woodpecker, hummingbird, bee, wasp, ant, butterfly, moth, beetle,
ladybird, spider, scorpion, snail, worm, dragonfly, grasshopper, cricket, mosquito, fly, puppy, kitten, pony, calf,
lamb, piglet, chick, hare, coyote, hyena, jackal, puma, yak, tapir, vulture, quail
""")
COLOURS: Final = _items("""
red, blue, green, yellow, orange, purple, pink, brown, black, white, grey, gray, silver, golden, beige, turquoise,
teal, navy, maroon, violet, lilac, crimson, scarlet, magenta, cyan, indigo, olive, cream, bronze, lavender, khaki,
ivory, dark blue, light blue, dark green, light green, bright red, dark red, pale yellow, emerald, ruby, amber,
burgundy, mint green, sky blue, navy blue
""")
COUNTRIES: Final = _items("""
France, Germany, Italy, Spain, Portugal, Belgium, Netherlands, Luxembourg, Switzerland, Austria, Poland, Hungary,
Slovakia, Slovenia, Croatia, Serbia, Bosnia, Montenegro, Albania, Greece, Bulgaria, Romania, Moldova, Ukraine,
Belarus, Lithuania, Latvia, Estonia, Finland, Sweden, Norway, Denmark, Iceland, Ireland, Scotland, England, Wales,
Malta, Cyprus, Turkey, Georgia, Armenia, Azerbaijan, Russia, Kazakhstan, Uzbekistan, Mongolia, China, Japan, South
Korea, North Korea, Taiwan, Vietnam, Thailand, Laos, Cambodia, Malaysia, Singapore, Indonesia, Philippines,
Australia, New Zealand, Fiji, Samoa, India, Pakistan, Bangladesh, Nepal, Bhutan, Sri Lanka, Maldives, Iran, Iraq,
Israel, Jordan, Lebanon, Syria, Saudi Arabia, Yemen, Oman, Qatar, Kuwait, Egypt, Libya, Tunisia, Algeria, Morocco,
Sudan, Ethiopia, Kenya, Uganda, Tanzania, Rwanda, Ghana, Nigeria, Senegal, Mali, Cameroon, Angola, Zambia, Zimbabwe,
Botswana, Namibia, South Africa, Mozambique, Madagascar, Canada, Mexico, Guatemala, Honduras, Nicaragua, Costa Rica,
Panama, Cuba, Jamaica, Haiti, Colombia, Venezuela, Ecuador, Peru, Bolivia, Brazil, Paraguay, Uruguay, Argentina,
Chile, United States, United Kingdom, Czech Republic, USA, UK
""")
CITIES: Final = _items("""
Paris, London, Berlin, Madrid, Rome, Vienna, Prague, Warsaw, Budapest, Lisbon, Porto, Dublin, Edinburgh, Glasgow,
Manchester, Liverpool, Bristol, Oxford, Cambridge, Brussels, Antwerp, Ghent, Amsterdam, Rotterdam, Utrecht, Hamburg,
Munich, Cologne, Frankfurt, Leipzig, Dresden, Zurich, Geneva, Basel, Bern, Salzburg, Graz, Milan, Venice, Florence,
Naples, Turin, Bologna, Palermo, Barcelona, Valencia, Seville, Bilbao, Granada, Marseille, Lyon, Nice, Bordeaux,
Toulouse, Lille, Copenhagen, Aarhus, Oslo, Bergen, Stockholm, Gothenburg, Malmo, Helsinki, Tampere, Turku, Tallinn,
Riga, Vilnius, Krakow, Gdansk, Kyiv, Lviv, Odesa, Moscow, Athens, Istanbul, Ankara, Sofia, Bucharest, Belgrade,
Zagreb, Sarajevo, Ljubljana, Bratislava, Brno, Tokyo, Osaka, Kyoto, Seoul, Busan, Beijing, Shanghai, Hong Kong,
Taipei, Bangkok, Hanoi, Manila, Jakarta, Delhi, New Delhi, Mumbai, Kolkata, Chennai, Lahore, Karachi, Dhaka,
Kathmandu, Tehran, Baghdad, Beirut, Jerusalem, Tel Aviv, Dubai, Cairo, Tunis, Casablanca, Nairobi, Lagos, Accra,
Dakar, Cape Town, Johannesburg, Sydney, Melbourne, Perth, Brisbane, Auckland, Wellington, Toronto, Montreal,
Vancouver, Ottawa, New York, Boston, Chicago, Seattle, Los Angeles, San Francisco, San Diego, Denver, Dallas,
Houston, Austin, Miami, Atlanta, Detroit, Philadelphia, Las Vegas, New Orleans, Mexico City, Havana, Bogota, Lima,
Quito, Santiago, Buenos Aires, Montevideo, Rio de Janeiro, Sao Paulo
""")
LANGUAGES: Final = _items("""
English, French, German, Spanish, Italian, Portuguese, Dutch, Danish, Swedish, Norwegian, Finnish, Icelandic,
Polish, Czech, Slovak, Hungarian, Romanian, Bulgarian, Greek, Turkish, Russian, Ukrainian, Serbian, Croatian,
Arabic, Hebrew, Persian, Hindi, Urdu, Bengali, Tamil, Chinese, Mandarin, Cantonese, Japanese, Korean, Vietnamese,
Thai, Malay, Indonesian, Swahili, Zulu, Latin, Welsh, Irish, Catalan, Basque, Esperanto, Estonian, Latvian,
Lithuanian, Albanian, Georgian, Armenian, Yoruba, Amharic
""")
SPORTS: Final = _items("""
football, soccer, basketball, volleyball, handball, tennis, table tennis, badminton, squash, golf, hockey, ice
hockey, baseball, cricket, rugby, swimming, diving, rowing, sailing, surfing, skiing, snowboarding, skating, figure
skating, curling, boxing, wrestling, judo, karate, fencing, archery, cycling, running, climbing, gymnastics,
athletics, yoga, dancing, darts, bowling, billiards, snooker, water polo, polo, lacrosse, softball, netball,
kayaking, horse riding, weightlifting, marathon running, taekwondo, triathlon, pole vault
""")
INSTRUMENTS: Final = _items("""
piano, guitar, violin, viola, cello, double bass, harp, flute, clarinet, oboe, bassoon, saxophone, trumpet,
trombone, tuba, French horn, drums, accordion, banjo, ukulele, mandolin, harmonica, organ, keyboard, synthesizer,
xylophone, tambourine, triangle, recorder, bagpipes, lute, sitar, electric guitar, bass guitar, bongos, zither,
piccolo, marimba, cymbals
""")
JOBS: Final = _items("""
teacher, doctor, nurse, engineer, lawyer, baker, butcher, farmer, fisherman, carpenter, plumber, electrician,
painter, architect, scientist, chemist, physicist, biologist, historian, journalist, writer, poet, novelist, editor,
translator, librarian, pilot, sailor, captain, driver, bus driver, taxi driver, mechanic, cook, chef, waiter,
waitress, barista, hairdresser, tailor, dentist, vet, surgeon, pharmacist, psychologist, accountant, banker,
cashier, salesman, manager, programmer, software engineer, web designer, designer, photographer, actor, actress,
singer, musician, dancer, composer, conductor, police officer, detective, firefighter, soldier, judge, politician,
mayor, professor, student, gardener, florist, cleaner, janitor, secretary, receptionist, postman, plumber,
blacksmith, jeweller, watchmaker, astronaut, zookeeper, tour guide, real estate agent, data analyst, consultant,
violinist, pianist, goalkeeper, coach, referee, midwife, shepherd, beekeeper, welder, builder, roofer, potter,
sculptor
""")
VEHICLES: Final = _items("""
car, bus, tram, train, bicycle, bike, motorbike, motorcycle, scooter, truck, lorry, van, taxi, plane, helicopter,
boat, ship, ferry, canoe, yacht, submarine, rocket, tractor, ambulance, fire engine, sledge, hot-air balloon, jeep,
minibus, skateboard, limousine
""")
CLOTHES: Final = _items("""
shirt, T-shirt, jacket, coat, raincoat, jumper, sweater, hoodie, dress, skirt, jeans, trousers, shorts, socks,
shoes, boots, sandals, slippers, sneakers, hat, cap, scarf, gloves, mittens, belt, tie, suit, waistcoat, cardigan,
pyjamas, blouse, swimsuit
""")
BODY: Final = _items("""
head, arm, leg, knee, foot, toe, hand, finger, thumb, elbow, shoulder, back, neck, nose, mouth, ear, eye, chin,
cheek, ankle, wrist, hip, stomach, chest, tooth, tongue, forehead, heel
""")
FURNITURE: Final = _items("""
table, chair, sofa, couch, armchair, bed, desk, bookshelf, wardrobe, cupboard, stool, bench, drawer, mirror, lamp,
rug, cradle
""")
TOOLS: Final = _items("""
hammer, saw, screwdriver, drill, wrench, pliers, shovel, spade, rake, axe, ladder, chisel, paintbrush, scissors,
tape measure, broom
""")
FLOWERS: Final = _items("""
rose, roses, tulips, daisies, lilies, sunflowers, orchids, daffodils, violets, poppies, carnations, peonies,
lavender, snowdrops, irises
""")
TREES: Final = _items("""
oak, pine, birch, maple, willow, beech, ash, elm, cedar, spruce, fir, chestnut tree, apple tree, palm tree, olive
tree
""")
SUBJECTS: Final = _items("""
maths, mathematics, physics, chemistry, biology, history, geography, music, art, philosophy, economics, law,
medicine, computer science, psychology, astronomy
""")
WEEKDAYS: Final = _items("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday")
MONTHS: Final = _items("""
January, February, March, April, May, June, July, August, September, October, November, December
""")
PLANETS: Final = _items("Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus, Neptune")
MATERIALS: Final = _items("""
wood, glass, steel, iron, copper, gold, silver, plastic, paper, cotton, wool, silk, leather, stone, marble, clay,
rubber, concrete
""")
WEATHER: Final = _items("""
rain, snow, fog, hail, thunder, wind, sunshine, storm, frost, drizzle, lightning
""")
FAMILY: Final = _items("""
mother, father, sister, brother, aunt, uncle, cousin, grandmother, grandfather, nephew, niece, daughter, son, wife,
husband
""")
FEELINGS: Final = _items("""
anger, joy, fear, sadness, happiness, envy, pride, shame, grief, hope, relief, boredom, surprise, love, disgust
""")

FIRST_NAMES: Final = _items("""
Anna, Ben, Clara, David, Emma, Felix, Grace, Henry, Ida, Jack, Karen, Leo, Maria, Noah, Olga, Peter, Rosa, Sam,
Tina, Victor, Alice, Bob, Carol, Daniel, Eva, Frank, Hanna, Hannah, Ivan, Julia, Kevin, Laura, Martin, Nina, Oscar,
Paula, Robert, Sarah, Thomas, Ursula, William, Yusuf, Zoe, Ahmed, Fatima, Omar, Layla, Hassan, Aisha, Ali, Mariam,
Karim, Nadia, Samir, Priya, Raj, Anika, Arjun, Deepa, Ravi, Sunita, Vikram, Mei, Wei, Li, Chen, Jun, Ling, Hiro,
Yuki, Kenji, Sakura, Akira, Haruki, Min-jun, Ji-woo, Linh, Minh, Thu, Carlos, Lucia, Diego, Sofia, Mateo, Elena,
Pablo, Carmen, Luis, Ines, Joao, Beatriz, Tiago, Giulia, Marco, Chiara, Luca, Francesca, Pierre, Camille, Antoine,
Celine, Lukas, Greta, Heinrich, Anneliese, Jan, Kasia, Piotr, Agnieszka, Dmitri, Natasha, Sergei, Katya, Olena,
Taras, Bjorn, Astrid, Lars, Ingrid, Erik, Freya, Mikko, Aino, Siobhan, Liam, Niamh, Sean, Rhys, Gwen, Alasdair,
Fiona, Kwame, Ama, Chidi, Ngozi, Tunde, Zainab, Thabo, Naledi, Jabari, Amara, Kofi, Moses, Esther, Ruth, Isaac,
Miriam, Levi, Tamar, George, Charlotte, James, Emily, Oliver, Amelia, Harry, Jessica, Lily, Mia, Lucas, Ethan, Ella,
Max, Paul, Anne-Marie, Jean-Luc, Mary, John, Michael, Linda, Susan, Steve, Tom, Kate, Mike, Jane, Lena, Milo, Nora,
Otto, Simon, Vera, Walter, José, Zoë, Renée, Søren, Jürgen, André, Chloé, Björn
""")
LAST_NAMES: Final = _items("""
Smith, Jones, Brown, Taylor, Wilson, Davies, Evans, Johnson, Walker, Wright, Green, Hall, Clarke, Hill, Baker,
Cooper, King, Lee, Müller, Schmidt, Weber, Fischer, Becker, Hoffmann, Novak, Kowalski, Nowak, Ivanov, Petrov,
Horvat, Nagy, Popescu, Rossi, Russo, Ferrari, Bianchi, Garcia, Martinez, Lopez, Fernandez, Silva, Santos, Pereira,
Costa, Dubois, Martin, Bernard, Moreau, Janssen, de Vries, van Dijk, van den Berg, Hansen, Olsen, Larsen, Andersson,
Nilsson, Virtanen, Korhonen, O'Brien, O'Neill, O'Connor, McDonald, MacLeod, Murphy, Kelly, Tanaka, Suzuki, Sato,
Yamamoto, Kim, Park, Choi, Nguyen, Tran, Wang, Zhang, Liu, Singh, Kumar, Patel, Sharma, Khan, Hussain, Haddad,
Mansour, Okafor, Adeyemi, Mensah, Diallo, Mbeki, Cohen, Levy, Demir, Yilmaz, Smith-Jones, Garcia-Lopez, D'Angelo,
Nuñez, Çelik, Dvořák
""")
COMPANIES: Final = _items("""
Google, Apple, Microsoft, Amazon, Siemens, Toyota, Honda, Volvo, Nokia, Samsung, Sony, Nintendo, Philips, Bosch,
Intel, IBM, Tesla, Ford, Boeing, Airbus, Nestle, Unilever, Ikea, Lego, Adidas, Nike, Puma, Spotify, Netflix, Shell,
Bayer, Novartis, Barclays, Huawei, Lenovo, Hitachi, Canon, Nikon, Oracle, Adobe, Walmart, Starbucks, McDonald's,
Coca-Cola, Pepsi, BMW, Audi, Renault, Fiat
""")
COMPANY_WORDS: Final = _items("""
Blue, Red, Green, Silver, Golden, Bright, North, South, East, West, River, Harbor, Harbour, Mountain, Ocean, Sun,
Star, Moon, Cloud, Iron, Stone, Oak, Maple, Pine, Swift, Happy, Global, Urban, Royal, Rapid, Smart, Clear, Pixel,
Quantum, Solar, Lunar, Arctic, Alpine, Fox, Falcon, Bear, Lion
""")
COMPANY_KINDS: Final = _items("""
Ltd, Inc, Inc., GmbH, AG, Corp, LLC, Group, Systems, Labs, Foods, Motors, Energy, Bank, Airlines, Media, Software,
Robotics, Logistics, Pharma, Textiles, Studios, Industries, Technologies, & Sons, & Co, Consulting, Partners,
Insurance, Electric, Brewery, Books, Solutions, Works, Games
""")
PRODUCT_HEADS: Final = _items("""
Phone, Pad, Watch, Cam, Drive, Book, Pro, Max, Mini, Air, One, Plus, Lite, X, S, Z, Go, Ultra, Neo, Prime, Sport,
Edge, Note, Touch
""")
PRODUCTS: Final = _items("""
iPhone, iPad, MacBook, Kindle, PlayStation, Xbox, Game Boy, Walkman, Galaxy S10, ThinkPad, Roomba, GoPro, Model 3,
Polo, Photoshop, Windows 95, Excel
""")
CITY_ENDINGS: Final = _items("""
ville, burg, ton, ford, field, port, stad, grad, dorf, by, haven, mouth, bridge, wick, polis, pur, abad, holm, heim,
shire, nes
""")
COUNTRY_ENDINGS: Final = _items("ia, land, stan, istan, onia, avia, aria, istan")

NEUTRAL_NOUNS: Final = _items("""
letter, parcel, meeting, window, garden, report, river, street, photo, book, story, song, game, plan, idea,
question, answer, door, key, box, map, ticket, message, email, project, party, wedding, concert, festival, school,
office, kitchen, museum, theatre, bridge, market, shop, village, forest, beach, mountain, lake, island, hospital,
church, library, station, airport, hotel, holiday, weekend, evening
""")

ONSETS: Final = _items("""
b, br, bl, c, ch, cl, cr, d, dr, f, fl, fr, g, gl, gr, h, j, k, kr, kl, l, m, n, p, pl, pr, qu, r, s, sh, sk, sl,
sm, sn, sp, st, sv, t, th, tr, v, vl, w, x, y, z, zh
""")
VOWELS: Final = _items("""
a, a, a, e, e, e, i, i, i, o, o, o, u, u, ai, ay, ea, ee, ei, ia, ie, io, oo, ou, ue, y, ae, au
""")
CODAS: Final = _items("""
b, ck, d, f, g, k, l, ld, ll, lm, m, n, n, nd, ng, nk, nn, nt, p, r, r, rd, rk, rn, rt, s, s, sk, ss, st, t, th, tt,
v, x, z, x
""")
ACCENTS: Final = {
    "a": "áàâäãå",
    "e": "éèêë",
    "i": "íîï",
    "o": "óôöõø",
    "u": "úûü",
    "c": "çč",
    "n": "ñ",
    "s": "š",
    "z": "ž",
    "l": "ł",
    "y": "ý",
}
