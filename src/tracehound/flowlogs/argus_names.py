"""In: nothing. Out: the names that argus gives protocols and EtherTypes. Never here: how they are used.

From the output of `ra` 3.0.8.2; numbers that are not listed print as numbers (EtherTypes) or as `unas` (protocols)."""

from __future__ import annotations

from typing import Final

_PROTOCOLS: Final = (
    "ip icmp igmp ggp ipnip st2 tcp cbt egp igp bbn-rcc nvp pup argus emcon xnet chaos udp mux dcn hmp prm xns-idp "
    "trunk-1 trunk-2 leaf-1 leaf-2 rdp irtp iso-tp4 netblt mfe-nsp merit-inp sep 3pc idpr xtp ddp idpr-cmtp tp++ il ipv6 "
    "sdrp ipv6-route ipv6-frag idrp rsvp gre mhrp bna esp ah i-nlsp swipe narp mobile tlsp skip ipv6-icmp ipv6-no "
    "ipv6-opts any cftp any sat-expak kryptolan rvd ippc any sat-mon visa ipcv cpnx cphb wsn pvp br-sat-mon sun-nd wb-mon "
    "wb-expak iso-ip vmtp secure-vmtp vines ttp nsfnet-igp dgp tcf eigrp ospf sprite-rpc larp mtp ax.25 ipip micp "
    "aes-sp3-d etherip encap pri-enc gmtp ifmp pnni pim aris scps qnx a/n ipcomp snp compaq-peer ipx-n-ip vrrp pgm zero "
    "l2tp ddx iatp stp srp uti smp sm ptp isis fire crtp crudp sccopmce iplt sps pipe sctp fc rsvp "
)
PROTOCOLS: Final = tuple(_PROTOCOLS.split())
"""By number of the IP protocol, 0 to 134."""

_RANGES: Final = (
    "0=llc 100=ipx 129=clns 130=esis 131=isis 132=nullns 257=exp 258=drip 259-511=exp 512=pup 513=pupat 1024=nix 1536=idp "
    "1632=dlog 1633=dlog 2048=ip 2049=x75 2050=nbs 2051=ecma 2052=chaos 2053=x25 2054=arp 2055=xnscp 2056=frarp "
    "2076=symbl 2184-2186=xyplx 2304=ubdeb 2560=pup.3 2561=pupat 2989=vines 2990=vinlb 2991=vinec 4096=brktn "
    "4097-4111=brkte 5632=valid 6532=train 8192=cdp 8193=cgmp 8195=vtp 9298=cent 15367=nbp 16962=pcs 21000=bbn "
    "24576=decun 24577=decdl 24578=decrc 24579=decro 24580=lat 24581=decdp 24582=deccp 24583=lavc 24584-24585=decun "
    "24586-24596=3com 25944=trans 25945=rawfr 28672=dbdwn 28674=ubdia 28704-28713=lrt 28720=prote 28724=cable 32771=cronv "
    "32772=crond 32773=hppro 32774=nesta 32776=att 32784=excel 32787=sgid 32788=sging 32789=sgres 32790=sgibs 32793=apld "
    "32815=tym 32816=tigan 32821=rarp 32822=aeon 32824=declb 32825-32828=decun 32829=decee 32830=decun 32831=dectm "
    "32832-32834=decun 32836=plan 32838=att 32839=att 32841=expd 32859=Vexp 32860=Vprod 32861=es 32864=ltlm 32866=count "
    "32869=um 32870=um 32871=veeco 32872=gd 32873=att 32874=autop 32876=comd 32877=comgr 32878-32887=land 32890=matra "
    "32891=dansk 32892=merit 32893-32895=vtlnk 32896=vtlnk 32897-32899=count 32923=atalk 32924-32926=data 32927=spidr "
    "32931=nix 32932-32947=siem 32960-32963=dcaex 32964=ban 32965=ban 32966=pacer 32967=appli 32968-32972=intrg "
    "32973-32974=haris 32975-32978=taylr 32979-32980=rose 32981=sna 32989=varin 32990-32991=trfs 32992-32995=allen "
    "32996-33008=data 33010=retix 33011=aarp 33012-33013=kinet 33015=aplo 33023=wcp 33024-33027=well 33031-33033=symbl "
    "33072=hayes 33073=vglab 33074-33078=brdg 33079-33080=ipx/spx 33081-33085=kti 33096=logic 33097=ncd 33098=alpha "
    "33100=snmp 33101=biin 33104=biin 33103=elite 33104=ratnl 33105-33107=qual 33108-33110=cprot 33124-33126=crd "
    "33149=xtp 33150=sgitw 33152=hippi 33153=stp 33154=h6400 33155=h6400 33156-33164=sgi 33165=mot 33178-33187=qual "
    "33188=arai 33189-33198=rad 33207-33209=xyplx 33228-33237=apri 33238-33245=arti 33254-33263=poly 33264-33266=comst "
    "33267-33269=saic 33270-33272=vg 33277=ismp 33283-33285=quant 33313-33314=ascom 33342-33344=aes 33407-33410=athen "
    "33379-33386=crd 33434-33435=iiit 33436-33451=tarus 33452-34451=wrq 34452-34461=ideac 34462-34465=cnt "
    "34467-34476=gtway 34523=sectr 34526=delta 34525=ipv6 34527=atom 34528-34543=lgp 34560-34576=mot 34605=cwl "
    "34667=compr 34668=ipas 34669=sdata 34824=mac 34825=slow 34827=ppp 34887=mplsu 34888=mplsm 34915=pppoe 34916=pppoe "
    "34925=ans 34927=nlb 34945=cdma 34958=eapol 34962=prof 34970=hscsi 34971=csm 34978=aoe 34990=brd 34999=oui "
    "35000-35002=gse 35015=rsn 35018=tipc 35020=lldp 35026=3gpp 35478-35479=invis 36864=loop 36865=xnssm 36866=3coms "
    "36867=3coml 36897=rtmac 36898=rtcfg 48879=nrludt 64764=fcft 65280-65295=ramo 65535=* "
)

ETHERTYPES: Final[dict[int, str]] = {}
for _entry in _RANGES.split():
    _numbers, _, _name = _entry.partition("=")
    _first, _, _last = _numbers.partition("-")
    for _number in range(int(_first), int(_last or _first) + 1):
        ETHERTYPES.setdefault(_number, _name)
