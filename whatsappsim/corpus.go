package whatsappsim

// language is what made-up people say.
type language struct {
	code        string // of a country where it is spoken
	first, last []string
	groups      []string
	sentences   []string
}

var emojis = []string{"👍", "🙏", "😊", "😂", "❤️", "🎉", "🥖", "👀", "👨‍👩‍👧‍👦", "🇧🇷"}

var languages = []language{
	{
		code: "49170", first: []string{"Lena", "Jürgen", "Aylin", "Max", "Käthe", "Sven"}, last: []string{"Müller", "Groß", "Yılmaz", "Weber", "Böhm"},
		groups: []string{"Backstube Team", "Stammtisch", "Elternabend 4b"},
		sentences: []string{
			"Guten Morgen, haben Sie heute geöffnet?", "Ich hätte gern zwei Roggenbrote.", "Passt 15:30 Uhr?", "Danke, bis gleich!",
			"Können Sie mir bitte ein Angebot schicken?", "Die Lieferung ist leider noch nicht angekommen.", "Ja", "Nein, lieber am Freitag.",
			"Wie lange dauert das ungefähr, und was würde es mit Einbau kosten?", "Ich überweise den Betrag heute noch.",
			"Die Straße ist gesperrt, wir kommen über die Nebenstraße und brauchen etwa zwanzig Minuten länger.",
			"Meine Frau hat gesagt, die Torte war großartig.", "Ok", "Rechnung bitte an die Firma.", "Schöne Grüße!",
		},
	},
	{
		code: "4477", first: []string{"Oliver", "Amelia", "Priya", "Jack", "Siobhán"}, last: []string{"Smith", "O'Brien", "Patel", "Jones"},
		groups: []string{"Sunday football ⚽", "Office lunch", "Neighbours"},
		sentences: []string{
			"Hi, are you open today?", "Can I move my appointment to Thursday?", "Thanks!", "How much is it with delivery?", "ok", "Sounds good to me.",
			"I tried calling but nobody picked up, could you ring me back when you have a minute?", "See you at 5.",
			"The parcel arrived, but one of the cups is broken. I can send you a photo.", "Do you have it in blue?", "Brilliant, cheers",
			"We would like to order for about thirty people, vegetarian options included, for the last Saturday of the month.",
			"Invoice received, paying it now.", "Where do I park?", "https://example.com/menu?ref=whatsapp&x=1",
		},
	},
	{
		code: "346", first: []string{"Lucía", "Íñigo", "Martín", "Noa"}, last: []string{"García", "Núñez", "Fernández", "Peña"},
		groups: []string{"Familia Peña", "Pádel jueves"},
		sentences: []string{
			"¡Buenos días! ¿Tienen mesa para dos?", "¿Qué precio tiene el envío a Sevilla?", "Perfecto, gracias.", "Mañana paso a recogerlo.", "Vale",
			"No me ha llegado el pedido todavía, ¿me puede decir dónde está?", "Sí, a las nueve.", "Muchas gracias por todo, quedó precioso.",
			"Le mando los datos de facturación por correo esta tarde, ahora mismo estoy en una reunión.", "¿Y si lo dejamos para la semana que viene?",
		},
	},
	{
		code: "5511", first: []string{"João", "Conceição", "Thiago", "Ana"}, last: []string{"Silva", "Souza", "Araújo"},
		groups: []string{"Churrasco sábado 🔥", "Condomínio"},
		sentences: []string{
			"Bom dia! Vocês abrem hoje?", "Qual o valor?", "Pode ser no Pix?", "Blz", "Obrigada!!", "Tô chegando",
			"Ainda não recebi o código de rastreio, consegue verificar pra mim por favor?", "Amei o bolo, todo mundo elogiou!",
			"Gostaria de agendar para sexta depois das 18h, se ainda tiver horário.", "kkkkk",
		},
	},
	{
		code: "97150", first: []string{"محمد", "فاطمة", "يوسف", "ليلى"}, last: []string{"العلي", "حسن", "المنصوري"},
		groups: []string{"العائلة", "فريق العمل"},
		sentences: []string{
			"السلام عليكم، هل المحل مفتوح اليوم؟", "كم السعر مع التوصيل؟", "شكراً جزيلاً", "تمام", "متى يصل الطلب؟",
			"أريد حجز موعد يوم الخميس بعد الظهر إذا كان ذلك ممكناً.", "وصلت الشحنة لكن ينقصها قطعة واحدة.", "نعم", "الموقع: Dubai Marina, Tower 3",
		},
	},
	{
		code: "9198", first: []string{"Aarav", "दीपिका", "Rohan", "सुनीता"}, last: []string{"Sharma", "वर्मा", "Iyer"},
		groups: []string{"Society maintenance", "शादी की तैयारी"},
		sentences: []string{
			"नमस्ते, क्या आज दुकान खुली है?", "कितना लगेगा?", "धन्यवाद 🙏", "ठीक है", "Order kab tak aayega bhaiya?", "Haan ji, 5 baje aata hoon.",
			"कृपया बिल की कॉपी भेज दीजिए, मुझे ऑफिस में जमा करनी है।", "Location bhej do please", "Very nice, sab ko pasand aaya!",
		},
	},
	{
		code: "86138", first: []string{"伟", "芳", "美玲"}, last: []string{"王", "李", "陈"},
		groups: []string{"团购群", "客户服务"},
		sentences: []string{
			"你好，今天营业吗？", "多少钱？", "好的", "谢谢！", "什么时候可以发货？", "请把发票寄到公司地址，收件人写财务部，电话不变。",
			"收到了，质量很好，下次还会再来。", "可以便宜一点吗？", "👌",
		},
	},
	{
		code: "7916", first: []string{"Анна", "Дмитрий", "Ольга"}, last: []string{"Иванова", "Смирнов", "Ким"},
		groups: []string{"Родительский чат", "Дача"},
		sentences: []string{
			"Здравствуйте! Вы сегодня работаете?", "Сколько стоит доставка?", "Спасибо", "Хорошо, договорились.", "Да", "Перезвоните, пожалуйста, когда будет удобно.",
			"Заказ пришёл, но размер не подошёл — можно обменять на следующий?", "Буду через десять минут", "Скиньте, пожалуйста, реквизиты для оплаты.",
		},
	},
}
