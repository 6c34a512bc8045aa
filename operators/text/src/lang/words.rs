//! Frequent function words and letters of languages in Latin letters, as tables.

/// The languages and their words: articles, pronouns, prepositions, conjunctions, auxiliary verbs, and a few words
/// that are as frequent in news. English is first, and so has place [`ENGLISH`].
pub(super) const WORDS: [(&str, &str); 32] = [
    (
        "en",
        "the of and to in a is that for on it with as was at by from be are this an or have has had not but \
         they his he she her him them its their which you we who whom will would can could should been were \
         being more than then when while about after before into over out off up down new said says say how \
         why what where us no i my me your our all also there here if so one two first last do does did s t \
         ll re ve against back get gets may might must under during between such these those some any only \
         most other now just because through very own both each until since still yet amid among without \
         within despite year years much many",
    ),
    (
        "de",
        "der die das und ist nicht von zu den mit auf für im dem des ein eine einer einen einem eines sich \
         auch als wie bei nach aus über an in wird werden wurde war waren sind hat haben hatte es er sie \
         ich wir aber oder noch nur um am zum zur vor durch bis dass wenn kann können mehr gegen unter so \
         sein seine ihre ihr was man diese dieser dieses zwischen während sowie",
    ),
    (
        "fr",
        "le la les de des du et en un une est pas pour dans que qui sur au aux par avec il elle ils elles \
         ce cette ces son sa ses se ne plus ou mais être était ont sont d l c n qu s j leur leurs comme \
         nous vous tout fait après à où sans entre dont peut aussi",
    ),
    (
        "es",
        "el la los las de del y en un una que es por con para se no su sus al lo como más pero le les ha \
         han este esta estos entre cuando sin sobre también hasta hay donde desde fue son era muy ser está \
         o a e tras según",
    ),
    (
        "pt",
        "o a os as de do da dos das e em um uma que é para com não no na nos nas por se ao mais como mas \
         foi ele ela seu sua ou são pelo pela até também à às já ser está tem entre quando sem sobre isso \
         após",
    ),
    (
        "it",
        "il la lo i gli le di del della dei delle degli e è un una uno che in per con non si da dal dalla \
         al alla ai nel nella nei sono come più ma anche ha hanno l d c dell all nell sul sulla dopo suo \
         sua questo questa ed o a ad tra essere stato",
    ),
    (
        "nl",
        "de het een van en in is dat op te zijn met voor niet aan er om ook als door bij naar uit maar nog \
         over werd wordt worden heeft hebben ze hij dit die deze kan meer of was tot haar hun geen wel na \
         tegen onder dan",
    ),
    (
        "sv",
        "och i att det en ett som på är av för med den de till inte har om var vid från men eller kan när \
         han hon så ut sig efter också under mot över än nu ska skulle blev vara hade deras kunde denna \
         detta vilket många några sin sitt där bara alla",
    ),
    (
        "tr",
        "ve bir bu da de için ile olarak çok daha en gibi olan ne ama var değil kadar sonra her o ya olduğu \
         oldu ise",
    ),
    (
        "vi",
        "và của là có cho không được trong một những các với người này đã để khi từ ra ở về như đến bị theo \
         do cũng nhưng",
    ),
    (
        "da",
        "og i at det en et som på er af for med den de til ikke har om var ved fra men eller kan når han \
         hun så ud sig efter også under mod over end nu skal blev være havde bliver hvor deres kunne ville \
         denne dette mange nogle hvis sin sit",
    ),
    (
        "no",
        "og i å det en et som på er av for med den de til ikke har om var ved fra men eller kan når han hun \
         så ut seg etter også under mot over enn nå skal ble være hadde blir hvor deres kunne ville denne \
         dette mange noen hvis sin sitt",
    ),
    (
        "fi",
        "ja on ei että se oli joka ovat kun mutta tai myös hän sen niin kuin vain jos mukaan sekä jotka ole \
         voi olla olivat hänen ne tämä he sitä nyt jo noin kanssa vuonna mitä siitä kuten jossa jonka jota \
         mikä useita monet aikana lähes yli kaikki vielä eivät sillä jälkeen ennen",
    ),
    (
        "pl",
        "w i na z ze się nie do to że jest o jak po od za przez ale dla są tym co oraz był było była przed \
         już jego tego może być ich lub które który która także u a roku nad bez pod gdy kiedy można bardzo \
         wiele ma we jej ten ta oni tylko więc podczas jako",
    ),
    (
        "cs",
        "a v na se je že s do z ze o to i ve k za pro by po od jako ale si jeho jsou byl bylo nebo které \
         který která jsme už při než také může byla byly bude aby jen ke pod před roce mezi kteří tak proto \
         více přes pokud kdy jejich",
    ),
    (
        "sk",
        "a v na sa je že s do z zo o to i vo k za pre by po od ako ale si jeho sú bol bolo alebo ktoré \
         ktorý ktorá pri než tiež môže bola boli bude aby len ku pod pred roku medzi ktorí tak preto viac \
         cez ich",
    ),
    (
        "sl",
        "in je v na se da za so ki z s pa bi ne od po tudi kot ali pri bil bila ni k o ter kar iz do lahko",
    ),
    (
        "hr",
        "i u je na se da za su od s o a ne koji koja koje kao bi će iz što ali po ili nije do sa bio bila \
         te",
    ),
    (
        "hu",
        "a az és hogy nem is egy ez meg volt ha csak már el még vagy mint ezt azt kell lesz után szerint de \
         ki pedig amely minden több nagy két ami aki egyik során alatt között mivel lehet ezek azok így sok \
         voltak itt",
    ),
    (
        "ro",
        "de și şi în la a cu pe nu o că ca din un care mai este pentru sau au fost lui ce se după prin dar \
         sunt unei unui al ale îi fi către fiind avea era când foarte poate acest unde iar dacă până fie",
    ),
    (
        "id",
        "yang dan di dari untuk dengan dalam pada ini itu tidak akan oleh ke adalah sebagai juga atau \
         karena telah ada bisa lebih mereka saat dapat tersebut para secara seperti kepada sudah bahwa anda \
         satu salah menjadi sedang jika banyak orang yaitu hanya antara sangat tahun serta pernah semua \
         kita kami lain",
    ),
    (
        "ms",
        "yang dan di dari untuk dengan dalam pada ini itu tidak akan oleh ke adalah sebagai juga atau \
         kerana telah ada boleh lebih mereka ketika daripada ialah bagi kepada seperti bahawa anda satu \
         salah menjadi sedang jika banyak orang iaitu hanya antara sangat tahun serta semua kita kami lain",
    ),
    (
        "tl",
        "ang ng sa na mga at ay ito ni para kung hindi isang may nang siya ko mo si kay o niya din rin ako \
         upang mula bilang",
    ),
    (
        "sw",
        "na ya wa kwa ni katika la za cha kuwa hii hiyo lakini pia au kama huo watu yake vya hilo bila \
         zaidi",
    ),
    (
        "af",
        "die van en in het is nie n te om vir dat met aan op wat sy ek hy kan sal ook deur word hulle maar \
         of was as dit by",
    ),
    (
        "ca",
        "el la els les de del i en un una que és per amb no es al als seva com més però o ha dels va són \
         aquest entre sobre fins també",
    ),
    (
        "et",
        "ja on ei et see oli ka kui mis ning aga või oma ta kes seda siis pole mida kuid välja selle olid",
    ),
    ("lt", "ir į iš kad su yra tai o ne bet jo buvo kaip nuo po apie per ar už jis dar tik arba"),
    ("lv", "un ir ar no kas par uz ka arī bet pie vai tas pēc kā lai tika bija gan"),
    ("is", "og að í á er sem var við um til en af hann ekki það með fyrir eru frá"),
    ("sq", "të dhe në e i për me nga një është që se ka u si nuk do më janë ishte ky"),
    ("az", "və bu bir ilə üçün da də olan ki o ən daha çox görə sonra"),
];

/// What English text has that is spelled like a function word of another language: `war` and `die` of German, `men`
/// of Swedish, the letters of `e-mail` and of `Leeds v Chelsea`, the end of `example.com`. It counts for both, and so
/// decides nothing.
pub(super) const ALSO_ENGLISH: &str = "war die man men hat son care era sin hay tout pour door end ten par den die van per non com \
                            e v o y n d l c";

/// Letters that only some of these languages have.
pub(super) const LETTERS: [(&str, &str); 24] = [
    ("ąę", "pl lt"),
    ("łńśźż", "pl"),
    ("ć", "pl hr"),
    ("ěřů", "cs"),
    ("ťďň", "cs sk"),
    ("ľĺŕ", "sk"),
    ("čšž", "cs sk sl hr lt lv et"),
    ("őű", "hu"),
    ("ă", "ro vi"),
    ("șțţ", "ro"),
    ("ş", "tr az ro"),
    ("ğı", "tr az"),
    ("ə", "az"),
    ("åø", "da no"),
    ("åäö", "sv"),
    ("æ", "da no is"),
    ("äö", "de fi et"),
    ("ßü", "de"),
    ("ðþ", "is"),
    ("đ", "vi hr"),
    ("ơư", "vi"),
    ("āēīģķļņ", "lv"),
    ("ėįų", "lt"),
    ("ãõ", "pt"),
];
