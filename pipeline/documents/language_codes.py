"""Codes of languages: BCP 47 tags and ISO 639 codes, in any case, as the labels of the language model."""

import re
from collections.abc import Iterable
from typing import Final

ALL_LANGUAGES: Final = "all"

_CODES: Final = """
ace af:afr am:amh an:arg ar:ara,arb ary arz as:asm az:aze,azj ba:bak bcl:bik be:bel bg:bul bn:ben br:bre bs:bos ca:cat crh cs:ces,cze
cy:cym,wel da:dan de:deu,ger dz:dzo el:ell,gre en:eng eo:epo es:spa et:est,ekk eu:eus,baq ext fa:fas,per,pes,prs fi:fin fo:fao fr:fra,fre
fuv:ff,ful fy:fry ga:gle gcf gcr gd:gla gl:glg gom:kok,knn grc gu:guj gug:gn,grn guw ha:hau hbo he:heb,iw hi:hin hr:hrv,scr ht:hat hu:hun
hy:hye,arm id:ind,in ig:ibo is:isl,ice it:ita ja:jpn jv:jav,jw ka:kat,geo kab kik:ki kk:kaz km:khm kn:kan ko:kor ku:kur,kmr ky:kir la:lat
lb:ltz lg:lug lij ln:lin lo:lao lt:lit ltg lv:lav,lvs mg:mlg,plt mk:mkd,mac ml:mal mn:mon,khk mr:mar ms:msa,may,zsm mt:mlt my:mya,bur
ne:nep,npi nl:nld,dut nn:nno no:nor,nb,nob nso oc:oci om:orm,gaz or:ori,ory pa:pan pcm pl:pol ps:pus,pbt pt:por qu:que,quy ro:ron,rum,mo,mol
ru:rus rw:kin sa:san sdh se:sme si:sin sk:slk,slo sl:slv sn:sna so:som sq:sqi,alb,als sr:srp,scc st:sot sv:swe sw:swa,swh ta:tam te:tel
tg:tgk th:tha tk:tuk tl:tgl,fil tr:tur tt:tat ug:uig uk:ukr ur:urd uz:uzb,uzn uzs vec vi:vie vo:vol wa:wln wuu xh:xho yo:yor yue
zh:zho,chi,cmn zu:zul zxx
"""
"""Each label of the model, with the codes that mean it: ISO 639-1, both sets of 639-2, 639-3, and codes that were withdrawn."""

LABELS: Final = tuple(entry.partition(":")[0] for entry in _CODES.split())
_BY_CODE: Final = {
    code: label
    for label, _, codes in (entry.partition(":") for entry in _CODES.split())
    for code in (label, *filter(None, codes.split(",")))
}
_TAG: Final = re.compile(r"([a-z]{2,3})(?:-([a-z]{3}))?(?:-[a-z0-9]{1,8})*")
"""A language, perhaps an extended language (`zh-yue`), then script, region and the like."""

_LOCALE_END: Final = re.compile(r"[.@].*")


def label_of(code: str) -> str | None:
    """The model's label for a language; None where the model does not know the language.

    Script and region are not told apart: `en-US` is English, `zh-Hant` is Chinese.

    >>> [label_of(code) for code in ("EN", "en_US.UTF-8", "nb", "zh-cn", "ger", "english")]
    ['en', 'en', 'no', 'zh', 'de', None]
    """
    tag = _TAG.fullmatch(_LOCALE_END.sub("", code.strip().lower().replace("_", "-")))
    if not tag:
        return None
    return _BY_CODE.get(tag[2] or "") or _BY_CODE.get(tag[1])


def labels_of(codes: Iterable[str], setting: str) -> tuple[str, ...]:
    """The labels of languages, each once, in the order given; `all` stays. Raises ValueError for a language that no document can have.

    `setting` is what the caller calls the codes.
    """
    labels: dict[str, None] = {}
    for code in codes:
        label = ALL_LANGUAGES if code.strip().lower() == ALL_LANGUAGES else label_of(code)
        if label is None:
            raise ValueError(
                f"{setting} {code}: not a language that the language model knows; ISO 639 codes or BCP 47 tags of: {', '.join(LABELS)}; "
                f"or '{ALL_LANGUAGES}'"
            )
        labels[label] = None
    return tuple(labels)
